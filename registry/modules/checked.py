"""Checking what a model is given, where exporters and compilers do not look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor

#: Modes of dispatch in which tensors stand for others: graphs are recorded, or shapes computed without values.
_KEYS = torch._C._TorchDispatchModeKey
_RECORDING = (_KEYS.FAKE, _KEYS.PROXY, _KEYS.FUNCTIONAL)


class Checked(nn.Module):
    """A module that looks at its arguments before it runs.

    The check sits in the call, not in `forward` and not in a hook: scripting, tracing and compiling see a plain module. Where
    arguments have no values of their own it does not run: under `torch.fx`, `make_fx`, `FakeTensorMode`, and inside the
    transforms of `torch.func`, such as `vmap`.

    Attributes:
        checks_inputs: False switches the check off.
    """

    checks_inputs = True  # not annotated: TorchScript cannot read annotations that are kept as text

    def check_inputs(self, *args: Any, **kwargs: Any) -> None:
        """Raises RegistryError for arguments that would fail, or silently train on nonsense; given what `forward` is."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it checks")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.checks_inputs and not _is_recording() and not _stand_for_others((args, kwargs)):
            self.check_inputs(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def _is_recording() -> bool:
    """True while something other than a plain call runs the model."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state():
        return True
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    return any(torch._C._get_dispatch_mode(key) is not None for key in _RECORDING)


def _stand_for_others(arguments: Any) -> bool:
    """True if a placeholder is among the arguments, however deep in lists and mappings."""
    if isinstance(arguments, dict):
        arguments = arguments.values()
    elif not isinstance(arguments, (list, tuple)):
        return isinstance(arguments, (fx.Proxy, FakeTensor))
    found: Iterable[Any] = arguments
    return any(_stand_for_others(argument) for argument in found)
