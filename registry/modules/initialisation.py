"""Initialisations that backbones share."""

from __future__ import annotations

from torch import nn

from registry.specs import BackboneSpec


def he_fan_out(spec: BackboneSpec, backbone: nn.Module) -> None:
    """He initialisation (fan out) of convolutions, zeros for biases, ones and zeros for norms, in the order of the modules.

    Paper: arXiv 1502.01852. For a plugin's `init=`.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
