"""The MobileNetV2 backbone. torchvision: `models.mobilenetv2.MobileNetV2`, up to its pooling."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import nn
from torchvision.ops import Conv2dNormActivation

from registry.modules.norm import Norm, norm_layer
from registry_baselines.mobilenet_v2_geometry import Block, blocks_of
from registry_baselines.specs import MobileNetV2Spec


def build(spec: MobileNetV2Spec) -> nn.Sequential:
    """The backbone as one stage called `features`, whose children are the stem, the blocks and the last convolution.

    Shapes: (N, in_channels, H, W) to (N, last channels, H / stride, W / stride), rounded up.
    """
    norm, blocks = norm_layer(spec.norm), list(blocks_of(spec))
    layer = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)
    stem = layer(spec.in_channels, blocks[0].in_channels, kernel_size=3, stride=2)
    body = [InvertedResidual(block, norm) for block in blocks]
    last = layer(blocks[-1].out, spec.scaled_last(), kernel_size=1)
    return nn.Sequential(OrderedDict(features=nn.Sequential(stem, *body, last)))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without a non-linearity; the input is added where sizes and stride allow.

    Shapes: (N, in, H, W) to (N, out, H / stride, W / stride), rounded up. Paper: section 3.3, figure 4;
    torchvision: `models.mobilenetv2.InvertedResidual`.
    """

    def __init__(self, block: Block, norm: Norm) -> None:
        super().__init__()
        self.use_residual = block.residual
        layer = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)
        layers: list[nn.Module] = []
        if block.expands:
            layers.append(layer(block.in_channels, block.expanded, kernel_size=1))
        depthwise = {"stride": block.stride, "dilation": block.dilation, "groups": block.expanded}
        layers.append(layer(block.expanded, block.expanded, kernel_size=3, **depthwise))
        layers.append(nn.Conv2d(block.expanded, block.out, kernel_size=1, bias=False))
        layers.append(norm(block.out))
        self.conv = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the block."""
        result: torch.Tensor = self.conv(x)
        return x + result if self.use_residual else result
