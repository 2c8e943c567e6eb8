"""The initialisation that ResNet and MobileNetV2 share. torchvision: the ends of both constructors."""

from __future__ import annotations

from torch import nn

from registry.specs import BackboneSpec


def init(spec: BackboneSpec, backbone: nn.Module) -> None:
    """He initialisation (fan out) of convolutions, ones and zeros for norms, in the order of the modules."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
