"""Layers with the batch norm and activation that stand behind them, found by the order of modules in sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from registry_mobilenet.layers import Conv2dSame
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d, SqueezeExcitation


@dataclass(frozen=True)
class Slot:
    """A place in a model: a module's child of some name."""

    parent: nn.Module
    name: str

    @property
    def module(self) -> nn.Module:
        """What stands there."""
        found = self.parent._modules[self.name]
        assert found is not None
        return found

    def put(self, module: nn.Module) -> None:
        """Replaces it."""
        self.parent._modules[self.name] = module


@dataclass(frozen=True)
class Chain:
    """A layer and what is fused into it.

    Attributes:
        places: of the layer, more than one where it is shared.
        behind: places of a batch norm, a ReLU, or one after the other.
        then: what takes the output of all that, where it is known.
    """

    places: tuple[Slot, ...]
    behind: tuple[Slot, ...]
    then: nn.Module | None

    @property
    def layer(self) -> nn.Module:
        """The layer."""
        return self.places[0].module


class SamePadding(nn.Module):
    """The padding of a `Conv2dSame`, for a plain convolution behind it. Zeros have an integer in every range."""

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.reach = [
            (size - 1) * dilation + 1
            for size, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)
        ]
        self.stride = list(convolution.stride)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C, H', W'), zeros around it."""
        around: list[int] = []
        for axis in (1, 0):
            size, step = image.shape[2 + axis], self.stride[axis]
            steps = (size + step - 1) // step
            missing = max((steps - 1) * step + self.reach[axis] - size, 0)
            around += [missing // 2, missing - missing // 2]
        return nn.functional.pad(image, around)


def can_be_integer(layer: nn.Module) -> bool:
    """Whether torch has an integer kernel for a layer: subclasses compute something else, but for `Conv2dSame`."""
    if type(layer) is nn.Linear:
        return True
    return (
        type(layer) in (nn.Conv2d, Conv2dSame)
        and isinstance(layer, nn.Conv2d)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def chains(model: nn.Module) -> dict[str, Chain]:
    """Every layer that can be an integer one, by name. Frozen batch norms behind a layer are folded into it.

    Args:
        model: a copy that may be changed.
    """
    slots: dict[int, list[Slot]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is not None:
                slots.setdefault(id(child), []).append(Slot(parent, name))
    next_ones = {id(slot.module): behind for slot, behind in _in_order(model)}
    found = {}
    for name, module in model.named_modules():
        if can_be_integer(module) and id(module) in slots:
            places = slots[id(module)]
            single = [slot for slot in next_ones.get(id(module), []) if len(places) == 1]
            fused = tuple(_fused(module, single, slots))
            after = [slot.module for slot in single if slot not in fused and not isinstance(slot.module, nn.Identity)]
            found[name] = Chain(tuple(places), fused, after[0] if after else None)
    return found


def plain(convolution: Conv2dSame) -> nn.Conv2d:
    """A convolution with the same parameters that pads nothing."""
    made = nn.Conv2d.__new__(nn.Conv2d)
    made.__dict__.update(convolution.__dict__)
    made.padding, made._reversed_padding_repeated_twice = (0, 0), [0, 0, 0, 0]
    return made


def _in_order(model: nn.Module) -> Iterator[tuple[Slot, list[Slot]]]:
    """Places, and those whose modules run right behind."""
    for parent in model.modules():
        if isinstance(parent, nn.Sequential) and type(parent).forward is nn.Sequential.forward:
            row = [Slot(parent, name) for name in parent._modules]
            for index, slot in enumerate(row):
                yield slot, row[index + 1 : index + 3]
        elif isinstance(parent, SqueezeExcitation):
            yield Slot(parent, "fc1"), [Slot(parent, "activation")]
            yield Slot(parent, "fc2"), [Slot(parent, "scale_activation")]


def _fused(layer: nn.Module, behind: list[Slot], slots: dict[int, list[Slot]]) -> Iterator[Slot]:
    first = True
    for slot in behind:
        module: Any = slot.module
        if type(module) is nn.ReLU:
            yield slot
            return
        alone = first and isinstance(layer, nn.Conv2d) and len(slots[id(module)]) == 1
        if alone and type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats:
            yield slot
        elif alone and isinstance(module, FrozenBatchNorm2d):
            _fold(layer, module)
            slot.put(nn.Identity())
        else:
            return
        first = False


def _fold(layer: Any, norm: FrozenBatchNorm2d) -> None:
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
