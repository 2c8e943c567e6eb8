"""Freezing the first stages of a backbone."""

from __future__ import annotations

from torch import nn

from registry.specs import BackboneSpec


def freeze_stages(spec: BackboneSpec, backbone: nn.Module, trainable: int) -> None:
    """Leaves gradients only to the last `trainable` stages; a stage begins with the layer that yields its feature map.

    Source: torchvision's `backbone_utils`.

    Raises:
        AttributeError: the backbone has no such layer.
    """
    maps = spec.feature_maps()
    if trainable >= len(maps):
        return
    first = maps[len(maps) - trainable].module if trainable else None
    if first is not None:
        backbone.get_submodule(first)  # a wrong path must not freeze everything
    for name, module in backbone.named_modules():
        if name == first:
            break
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
