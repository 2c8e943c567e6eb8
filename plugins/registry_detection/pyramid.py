"""A backbone under a feature pyramid. torchvision: `models.detection.backbone_utils.BackboneWithFPN`."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
    LastLevelP6P7,
)

from registry.modules.features import FeatureExtractor
from registry.modules.norm import norm_layer
from registry.specs import BackboneSpec
from registry_detection.settings import PyramidSpec


class BackboneWithPyramid(nn.Module):
    """Images (N, C, H, W) to an ordered dict of (N, out_channels, H / stride, W / stride), finest first.

    Levels are called `0`, `1`, … as the heads of torchvision expect, extra ones `pool`, or `p6` and `p7`.
    """

    def __init__(self, spec: PyramidSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> None:
        super().__init__()
        maps = spec.maps(backbone_spec)
        self.body = FeatureExtractor(backbone, {str(index): feature for index, feature in enumerate(maps)})
        self.fpn = FeaturePyramidNetwork(
            in_channels_list=[feature.channels for feature in maps],
            out_channels=spec.out_channels,
            extra_blocks=_extra(spec),
            norm_layer=None if spec.norm is None else norm_layer(spec.norm),
        )
        self.out_channels = spec.out_channels

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Runs backbone and pyramid."""
        maps: dict[str, torch.Tensor] = self.fpn(self.body(x))
        return maps


def _extra(spec: PyramidSpec) -> ExtraFPNBlock | None:
    if spec.extra == "p6p7":
        return LastLevelP6P7(spec.out_channels, spec.out_channels)
    return LastLevelMaxPool() if spec.extra == "max_pool" else None
