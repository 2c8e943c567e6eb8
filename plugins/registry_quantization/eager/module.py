"""The module that eager quantization gives: it runs under its engine, and pickles."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Iterator
from typing import Any

import torch
from registry_export.common import quiet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from registry_quantization.eager.engine import ao, engine
from registry_quantization.specs import QnnpackSpec


class EagerModule(nn.Module):
    """A model with simulated rounding, or an integer one, in eval mode. It takes and returns what the float model does.

    Integers are computed on the CPU: an integer model takes tensors of any device, and returns them there.

    Args:
        model: prepared or converted.
        quantization: what it was made with.
        float_model: the model that it was made from, for its `spec`.
        float_layers: names of layers that stayed float.
        integers: whether it was converted.
    """

    def __init__(
        self,
        model: nn.Module,
        quantization: QnnpackSpec,
        float_model: nn.Module,
        float_layers: tuple[str, ...],
        *,
        integers: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.integers, self.frozen_norms = integers, False
        self.__dict__["spec"] = getattr(float_model, "spec", None)
        self.__dict__["quantization"] = quantization
        self.__dict__["float_layers"] = float_layers
        self.train(False)

    def forward(self, *given: Any) -> Any:
        """Runs it."""
        with self.running():
            if not self.integers:
                return self.model(*given)
            device = next((each.device for each in pytree.tree_leaves(given) if isinstance(each, torch.Tensor)), None)
            if device is None or device.type == "cpu":
                return self.model(*given)
            return _moved(self.model(*_moved(given, torch.device("cpu"))), device)

    @property
    def scripted(self) -> nn.Module:
        """What TorchScript compiles, which cannot choose an engine: whoever runs it does."""
        return self.model

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Its engine, while it lasts."""
        return engine(self.__dict__["quantization"].engine)

    def train(self, mode: bool = True) -> EagerModule:
        """As every module, but norms that were frozen stay so."""
        super().train(mode)
        if self.frozen_norms:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.training = False
        return self

    def load_state_dict(self, *given: Any, **named: Any) -> Any:
        """As every module; weights are packed for its engine."""
        with quiet(), self.running():
            return super().load_state_dict(*given, **named)

    def state_dict(self, *given: Any, **named: Any) -> Any:
        """As every module."""
        with quiet():
            return super().state_dict(*given, **named)

    def __getstate__(self) -> dict[str, Any]:
        buffer = io.BytesIO()
        with quiet(), self.running():
            _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(self.model)
        kept = ("spec", "quantization", "float_layers", "integers", "frozen_norms", "training")
        return {"program": buffer.getvalue(), **{key: self.__dict__[key] for key in kept}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        program = state.pop("program")
        self.__dict__.update(state)
        with quiet(), self.running():
            self.model = pickle.loads(program)


class _Pickler(pickle.Pickler):
    """torch's integer convolutions leave out the state of a module when they are unpickled, and fail."""

    def reducer_override(self, thing: Any) -> Any:
        """How a thing is made again."""
        if isinstance(thing, ao("torch.ao.nn.quantized.modules.conv")._ConvNd):
            return _convolution, (type(thing), thing.__getstate__())
        return NotImplemented


def _convolution(kind: type[nn.Module], state: Any) -> nn.Module:
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    restore: Any = made.__setstate__
    restore(state)
    return made


def _moved(tree: Any, device: torch.device) -> Any:
    return pytree.tree_map(lambda each: each.to(device) if isinstance(each, torch.Tensor) else each, tree)


@contextlib.contextmanager
def working(spec: QnnpackSpec) -> Iterator[Any]:
    """torch's eager quantization in silence, under the engine of a scheme.

    Raises:
        RegistryError: this torch lacks the one or the other.
    """
    found = ao()
    with engine(spec.engine), quiet():
        yield found
