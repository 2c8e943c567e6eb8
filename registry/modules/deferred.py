"""Constructing a model for tensors that are already there: no memory for its parameters, no initialisation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

#: What fills a tensor in place and returns it. Filling one without memory is nothing, and costs much.
_FILLS = frozenset(
    {
        nn.init.constant_,
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        torch.Tensor.fill_,
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        torch.Tensor.zero_,
    }
)


class Deferred(TorchFunctionMode):
    """While it lasts, `torch.empty` makes tensors on the meta device, without memory, and filling these does nothing.

    Layers make their parameters that way. All else, such as tensors made from data, ranges, zeros of buffers and random
    numbers, is computed as ever, so that only what is computed from a parameter has no value. `assign` finds such leftovers,
    wherever a model keeps them. Only the thread that enters the mode is changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: list[weakref.ref[torch.Tensor]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        settings = kwargs or {}
        if func in _FILLS:
            filled = args[0] if args else settings["tensor"]
            return filled if filled.is_meta else func(*args, **settings)
        if func is torch.empty and settings.get("device") is None:
            settings = {**settings, "device": "meta"}
        made = func(*args, **settings)
        if isinstance(made, torch.Tensor):
            self._watch((made,))
        elif type(made) in (list, tuple):
            self._watch(each for each in made if isinstance(each, torch.Tensor))
        return made

    def assign(self, model: nn.Module, state: Mapping[str, torch.Tensor]) -> bool:
        """Makes tensors the parameters and buffers of a model that was constructed in this mode, without copying them.

        Args:
            state: every key of its state dict.

        Returns:
            False where the model cannot be used: a tensor is not in the state dict and has no memory, something beside the
            modules holds a parameter or what was computed from one, or two modules share a parameter.
        """
        own = [parameter for module in model.modules() for parameter in module._parameters.values()]
        tensors = [parameter for parameter in own if parameter is not None]
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            return False
        self._watch(tensors)
        del own, tensors
        model.load_state_dict(state, strict=True, assign=True)
        return not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())) and not self._alive()

    def _watch(self, tensors: Iterable[torch.Tensor]) -> None:
        self._made += [weakref.ref(tensor) for tensor in tensors if tensor.is_meta]

    def _alive(self) -> bool:
        return any(made() is not None for made in self._made)
