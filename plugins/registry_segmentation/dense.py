"""DeepLabV3 and FCN from their specs. torchvision: `models.segmentation.deeplabv3` and `fcn`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from registry.modules.features import FeatureExtractor
from registry.modules.norm import norm_layer
from registry.specs import BackboneSpec, GroupNormSpec
from registry_segmentation.checks import CheckedSegmenter
from registry_segmentation.layers import DenseModel, FCNHead, Norm, conv_norm_relu
from registry_segmentation.specs import DeepLabV3Spec, FCNSpec


class ImagePooling(nn.Sequential):
    """The average of the whole map, through a 1x1 convolution, spread over the map again."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(in_channels, out_channels, 1, norm))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, h, w) to (N, out, h, w)."""
        size = x.shape[-2:]
        for layer in self:
            x = layer(x)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 branch, dilated 3x3 ones and image pooling, joined by a 1x1 convolution."""

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], dropout: float, norm: Norm) -> None:
        super().__init__()
        branches: list[nn.Module] = [nn.Sequential(*conv_norm_relu(in_channels, channels, 1, norm))]
        branches += [nn.Sequential(*conv_norm_relu(in_channels, channels, 3, norm, dilation=rate)) for rate in rates]
        branches.append(ImagePooling(in_channels, channels, norm))
        self.convs = nn.ModuleList(branches)
        joined = conv_norm_relu(len(branches) * channels, channels, 1, norm)
        self.project = nn.Sequential(*joined, nn.Dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, h, w) to (N, channels, h, w)."""
        branches: list[torch.Tensor] = []
        for branch in self.convs:
            branches.append(branch(x))
        projected: torch.Tensor = self.project(torch.cat(branches, dim=1))
        return projected


class DenseSegmenter(CheckedSegmenter, DenseModel):
    """Images (N, C, H, W), normalised, to a dict with logits `out`, and `aux` where there is that head, (N, num_classes,
    H, W).
    """


def build_deeplabv3(spec: DeepLabV3Spec, backbone: nn.Module, backbone_spec: BackboneSpec) -> DenseSegmenter:
    """The whole model."""
    norm, channels = norm_layer(spec.norm), spec.channels
    pyramid = AtrousPyramid(backbone_spec.feature_maps()[-1].channels, channels, spec.atrous_rates, spec.dropout, norm)
    last = nn.Conv2d(channels, spec.num_classes, 1)
    classifier = nn.Sequential(pyramid, *conv_norm_relu(channels, channels, 3, norm), last)
    model = _model(spec, classifier, backbone, backbone_spec)
    model.pools_to_a_point = not isinstance(spec.norm, GroupNormSpec) and spec.norm.kind != "frozen_batch"
    model.fitting_groups = math.gcd(8, *_normalised_channels(model))
    return model


def build_fcn(spec: FCNSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> DenseSegmenter:
    """The whole model."""
    channels = backbone_spec.feature_maps()[-1].channels
    norm = norm_layer(spec.norm)
    classifier = FCNHead(channels, spec.num_classes, reduction=spec.reduction, dropout=spec.dropout, norm=norm)
    return _model(spec, classifier, backbone, backbone_spec)


def _model(
    spec: DeepLabV3Spec | FCNSpec, classifier: nn.Module, backbone: nn.Module, backbone_spec: BackboneSpec
) -> DenseSegmenter:
    last = backbone_spec.feature_maps()[-1]
    maps = {"out": last}
    aux_classifier = None
    if spec.aux is not None:
        feature = backbone_spec.find_map(spec.aux.level)
        assert feature is not None
        maps["aux"] = feature
        aux_classifier = FCNHead(
            feature.channels,
            spec.num_classes,
            reduction=spec.aux.reduction,
            dropout=spec.aux.dropout,
            norm=norm_layer(spec.norm),
        )
    model = DenseSegmenter(FeatureExtractor(backbone, maps), classifier, aux_classifier)
    model.in_channels, model.last_stride = backbone_spec.in_channels, last.stride
    return model


def _normalised_channels(model: DenseSegmenter) -> list[int]:
    """Channels after each convolution of the heads that a norm follows: those without a bias."""
    heads = [head for head in (model.classifier, model.aux_classifier) if head is not None]
    layers = [layer for head in heads for layer in head.modules() if isinstance(layer, nn.Conv2d)]
    return [layer.out_channels for layer in layers if layer.bias is None]
