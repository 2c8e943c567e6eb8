"""Checking what a model is given, where exporters and compilers do not look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor

from registry.errors import RegistryError

#: Modes of dispatch in which tensors stand for others: graphs are recorded, or shapes computed without values.
_KEYS = torch._C._TorchDispatchModeKey
_RECORDING = (_KEYS.FAKE, _KEYS.PROXY, _KEYS.FUNCTIONAL)
#: How a tensor is brought to a type.
_CALLS = {torch.float32: "float", torch.float64: "double", torch.float16: "half", torch.bfloat16: "bfloat16"}


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
            if not args and not kwargs:
                raise RegistryError("the model was called without images; write model(images)")
            self.check_inputs(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def check_dtype(model: nn.Module, tensor: torch.Tensor, subject: str, name: str) -> None:
    """Checks that images are of the type of the model's parameters, or of one that autocast brings to its own.

    Autocast leaves float64 alone. Integers are for the caller to refuse.

    Args:
        subject: what the message begins with, such as `image 3 is`.
        name: what the message calls the tensor in the code to write.

    Raises:
        RegistryError: another type; says how to convert.
    """
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    device = tensor.device.type
    cast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    if dtype in (None, tensor.dtype) or (cast and tensor.dtype != torch.float64):
        return
    call = f"{_CALLS[dtype]}()" if dtype in _CALLS else f"to({dtype})"
    raise RegistryError(f"{subject} {tensor.dtype} and the model's parameters are {dtype}; give {name}.{call}")


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
