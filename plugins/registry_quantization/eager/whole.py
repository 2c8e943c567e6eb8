"""MobileNetV3 with integers from its input to its logits, as torchvision's `models.quantization.mobilenetv3` has it.

What it adds are layers that stay float, padding of SAME, and squeeze-and-excitation with other activations.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import torch
from registry_mobilenet.inverted_residual import InvertedResidual
from registry_mobilenet.layers import Conv2dSame
from torch import nn
from torchvision.models.quantization.mobilenetv3 import QuantizableSqueezeExcitation
from torchvision.ops import FrozenBatchNorm2d, SqueezeExcitation, StochasticDepth

from registry.errors import RegistryError
from registry_quantization.eager.chains import Chain, SamePadding, can_be_integer, chains, plain
from registry_quantization.eager.engine import ao

#: Modules that take integers, or become one that does. Squeeze-and-excitation and blocks become ones of this module.
_TAKEN = (
    nn.Conv2d,
    Conv2dSame,
    nn.BatchNorm2d,
    FrozenBatchNorm2d,
    nn.ReLU,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Linear,
    nn.Dropout,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Identity,
    StochasticDepth,
    SqueezeExcitation,
    InvertedResidual,
)


class Residual(nn.Module):
    """The inverted residual block with an addition that is observed. torchvision: `QuantizableInvertedResidual`."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        self.use_residual, self.block = block.use_residual, block.block
        drops = isinstance(block.stochastic_depth, StochasticDepth)
        self.stochastic_depth = block.stochastic_depth if drops else None
        self.skip_add = ao("torch.ao.nn.quantized").FloatFunctional()

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Runs the block."""
        found: torch.Tensor = self.block(given)
        if self.use_residual:
            if self.stochastic_depth is not None and self.training:
                found = self.stochastic_depth(found)
            found = self.skip_add.add(given, found)
        return found


class Island(nn.Module):
    """A layer that stays float in a model of integers, with the norm behind it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.dequant, self.layers, self.quant = ao().DeQuantStub(), nn.Sequential(*layers), ao().QuantStub()
        self.layers.qconfig = None  # type: ignore[assignment]  # torch's mark for float

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Integers to integers."""
        found: torch.Tensor = self.quant(self.layers(self.dequant(given)))
        return found


def whole(model: nn.Module, left: Collection[str], config: Any, *, training: bool) -> nn.Module:
    """A model that is one of integers once it is converted; keys of its state dict are torchvision's.

    Args:
        model: a copy that may be changed; in training mode where it will be trained.
        left: names of layers that stay float.

    Raises:
        RegistryError: something in it has no form for integers.
    """
    _check(model)
    found = chains(model)
    fusing = [chain for name, chain in found.items() if name not in left]
    for name in left:
        _leave(found[name])
    for chain in fusing:
        _fuse(chain, training)
    _replace(model)
    row = OrderedDict(quant=ao().QuantStub(), **dict(model.named_children()), dequant=ao().DeQuantStub())
    made = nn.Sequential(row).train(training)
    made.qconfig = config
    return made


def _check(model: nn.Module) -> None:
    for name, module in model.named_modules():
        row = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
        layer = isinstance(module, (nn.Conv2d, nn.Linear))
        if not row and (type(module) not in _TAKEN or (layer and not can_be_integer(module))):
            kind = type(model if not name else module).__name__
            raise RegistryError(
                f"quantization.operations=all is for classifiers of MobileNetV3; this model has a {kind}"
                f"{f' at `{name}`' if name else ''}; write quantization.operations=layers"
            )
    if not isinstance(model, nn.Sequential) or not any(
        isinstance(module, InvertedResidual) for module in model.modules()
    ):
        raise RegistryError(
            f"quantization.operations=all is for classifiers of MobileNetV3, not a {type(model).__name__}; "
            "write quantization.operations=layers"
        )


def _leave(chain: Chain) -> None:
    norms = [slot for slot in chain.behind if isinstance(slot.module, nn.BatchNorm2d)]
    made = Island(chain.layer, *(slot.module for slot in norms))
    for slot in chain.places:
        slot.put(made)
    for slot in norms:
        slot.put(nn.Identity())


def _fuse(chain: Chain, training: bool) -> None:
    layer, place = chain.layer, chain.places[0]
    if isinstance(layer, Conv2dSame):
        place.put(plain(layer))
    if chain.behind:  # of a layer in one place alone
        fuse = ao().fuse_modules_qat if training else ao().fuse_modules
        fuse(place.parent, [place.name, *(slot.name for slot in chain.behind)], inplace=True)
    if isinstance(layer, Conv2dSame):
        made = nn.Sequential(SamePadding(layer), place.module)
        for each in chain.places:
            each.put(made)


def _replace(parent: nn.Module) -> None:
    for name, child in list(parent.named_children()):
        _replace(child)
        if type(child) is InvertedResidual:
            setattr(parent, name, Residual(child))
        elif type(child) is SqueezeExcitation:
            setattr(parent, name, _squeezed(child))
        elif type(child) in (nn.ReLU, nn.ReLU6):
            setattr(parent, name, type(child)(inplace=False))


def _squeezed(layer: SqueezeExcitation) -> nn.Module:
    made: nn.Module = QuantizableSqueezeExcitation.__new__(QuantizableSqueezeExcitation)
    nn.Module.__init__(made)  # its own constructor draws random numbers
    for name, child in layer.named_children():
        setattr(made, name, child)
    made.skip_mul = ao("torch.ao.nn.quantized").FloatFunctional()
    return made
