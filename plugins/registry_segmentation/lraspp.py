"""Lite R-ASPP from its spec. torchvision: `models.segmentation.lraspp`."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from registry.modules.features import FeatureExtractor
from registry.modules.norm import norm_layer
from registry.specs import BackboneSpec
from registry_segmentation.checks import CheckedSegmenter
from registry_segmentation.layers import Norm, conv_norm_relu
from registry_segmentation.specs import LRASPPSpec


class LRASPPHead(nn.Module):
    """The maps `low` (N, C, h, w) and `high`, coarser, to logits (N, num_classes, h, w)."""

    def __init__(self, low: int, high: int, inter: int, classes: int, norm: Norm) -> None:
        super().__init__()
        self.cbr = nn.Sequential(*conv_norm_relu(high, inter, 1, norm, inplace=True))
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(high, inter, 1, bias=False), nn.Sigmoid())
        self.low_classifier = nn.Conv2d(low, classes, 1)
        self.high_classifier = nn.Conv2d(inter, classes, 1)

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        """Joins both maps at the size of the finer one."""
        low, high = features["low"], features["high"]
        gated = self.cbr(high) * self.scale(high)
        fine = F.interpolate(gated, size=low.shape[-2:], mode="bilinear", align_corners=False)
        joined: torch.Tensor = self.low_classifier(low) + self.high_classifier(fine)
        return joined


class LRASPPModel(CheckedSegmenter):
    """Images (N, C, H, W), normalised, to a dict with logits `out` (N, num_classes, H, W)."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits at the size of the images."""
        logits = self.classifier(self.backbone(images))
        result: dict[str, torch.Tensor] = OrderedDict()
        result["out"] = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return result


def build(spec: LRASPPSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> LRASPPModel:
    """The whole model."""
    low, high = backbone_spec.find_map(spec.low), backbone_spec.feature_maps()[-1]
    assert low is not None
    head = LRASPPHead(low.channels, high.channels, spec.inter_channels, spec.num_classes, norm_layer(spec.norm))
    model = LRASPPModel(FeatureExtractor(backbone, {"low": low, "high": high}), head)
    model.in_channels, model.last_stride = backbone_spec.in_channels, high.stride
    return model
