"""Normalisation layers from their specs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from registry.specs.norm import AutoNormSpec, BatchNormSpec, FrozenBatchNormSpec, GroupNormSpec

#: A normalisation layer as a function of its channel count.
Norm = Callable[[int], nn.Module]


def norm_layer(spec: BatchNormSpec | FrozenBatchNormSpec | GroupNormSpec | AutoNormSpec) -> Norm:
    """The normalisation that a spec describes; `auto` that nobody settled is what it means without weights."""
    if isinstance(spec, AutoNormSpec):
        spec = spec.settled(pretrained=False)
    if isinstance(spec, FrozenBatchNormSpec):
        return partial(FrozenBatchNorm2d, eps=spec.eps)
    if isinstance(spec, GroupNormSpec):
        return partial(_group_norm, groups=spec.groups, eps=spec.eps)
    return partial(nn.BatchNorm2d, eps=spec.eps, momentum=spec.momentum)


def _group_norm(channels: int, *, groups: int, eps: float) -> nn.Module:
    return nn.GroupNorm(groups, channels, eps=eps)
