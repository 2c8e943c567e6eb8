"""Layers that several segmentation heads are made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel: int, norm: Norm, *, dilation: int = 1, inplace: bool = False
) -> list[nn.Module]:
    """A convolution without bias that keeps the size, its norm, and ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, norm(out_channels), nn.ReLU(inplace=inplace)]


class FCNHead(nn.Sequential):
    """3x3 to a fraction of the channels, dropout, 1x1 to the classes. torchvision: `models.segmentation.fcn.FCNHead`."""

    def __init__(self, in_channels: int, classes: int, *, reduction: int, dropout: float, norm: Norm) -> None:
        hidden = in_channels // reduction
        super().__init__(
            *conv_norm_relu(in_channels, hidden, 3, norm), nn.Dropout(dropout), nn.Conv2d(hidden, classes, 1)
        )


class DenseModel(nn.Module):
    """A backbone, a classifier on its map `out`, and perhaps another on its map `aux`.

    Images (N, C, H, W) to an ordered dict of logits (N, num_classes, H, W): `out`, and `aux` where there is that head, in
    testing too. torchvision: `models.segmentation._utils._SimpleSegmentationModel`.
    """

    def __init__(self, backbone: nn.Module, classifier: nn.Module, aux_classifier: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits at the size of the images."""
        size = images.shape[-2:]
        features = self.backbone(images)
        result: dict[str, torch.Tensor] = OrderedDict()
        result["out"] = F.interpolate(self.classifier(features["out"]), size=size, mode="bilinear", align_corners=False)
        if self.aux_classifier is not None:
            result["aux"] = F.interpolate(
                self.aux_classifier(features["aux"]), size=size, mode="bilinear", align_corners=False
            )
        return result
