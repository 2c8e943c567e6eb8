"""The depth decoder from its spec: maps of a backbone to metres."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from registry.modules.features import FeatureExtractor
from registry.modules.norm import Norm, norm_layer
from registry.specs import BackboneSpec
from registry_depth.checks import CheckedDepthModel
from registry_depth.specs import DepthDecoderSpec, decoder_maps


class SeparableConv(nn.Sequential):
    """A depthwise 3x3 convolution and a pointwise 1x1 one, each with norm and ReLU; keeps channels and size."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            norm(channels),
            nn.ReLU(),
        )


class DepthDecoder(nn.Module):
    """Maps named `0`, `1`, ... from the finest to the last, to one logit for each step of the finest, (N, 1, h, w).

    Args:
        channels: of each map, from the finest to the last.
        width: channels inside the decoder.
        norm: the normalisation after each convolution but the one that yields logits.
    """

    def __init__(self, channels: Sequence[int], width: int, norm: Norm) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(own, width, 1, bias=False), norm(width)) for own in channels
        )
        self.smooth = nn.ModuleList(SeparableConv(width, norm) for _ in channels)
        self.logit = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        """From the last map to the finest: upsampled bilinearly, added to the finer lateral, smoothed."""
        last = len(self.lateral) - 1
        x: torch.Tensor = self.smooth[last](self.lateral[last](features[str(last)]))
        for index in reversed(range(last)):
            lateral: torch.Tensor = self.lateral[index](features[str(index)])
            x = F.interpolate(x, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
            x = self.smooth[index](lateral + x)
        logits: torch.Tensor = self.logit(x)
        return logits


class DepthModel(CheckedDepthModel):
    """Images (N, C, H, W), normalised, to depths in metres (N, 1, H, W), between `min_depth` and `max_depth`.

    Logits are upsampled to the size of the images and squashed by a sigmoid; that share leads, in the logarithm of depth, from
    the least depth to the largest, so that a logit of 0 is their geometric mean.
    """

    def __init__(self, backbone: nn.Module, decoder: nn.Module, min_depth: float, max_depth: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.min_depth = min_depth
        self.max_depth = max_depth

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Depths at the size of the images; float32 under autocast, whose half precision is coarse for far depths."""
        logits = self.decoder(self.backbone(images))
        logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        share = torch.sigmoid(logits)
        return self.min_depth * torch.exp(share * math.log(self.max_depth / self.min_depth))


def build(spec: DepthDecoderSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> DepthModel:
    """The whole model."""
    maps = decoder_maps(spec, backbone_spec)
    decoder = DepthDecoder([feature.channels for feature in maps], spec.channels, norm_layer(spec.norm))
    extractor = FeatureExtractor(backbone, {str(index): feature for index, feature in enumerate(maps)})
    model = DepthModel(extractor, decoder, spec.min_depth, spec.max_depth)
    model.in_channels, model.last_stride = backbone_spec.in_channels, maps[-1].stride
    return model
