"""Building the backbone from its spec. torchvision: `models.mobilenetv3.MobileNetV3`, up to its pooling."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from registry.modules.norm import norm_layer
from registry_mobilenet.geometry import blocks_of
from registry_mobilenet.inverted_residual import InvertedResidual
from registry_mobilenet.layers import conv_norm
from registry_mobilenet.specs import MobileNetV3Spec


def build(spec: MobileNetV3Spec) -> nn.Sequential:
    """The backbone as one stage called `features`, whose children are the stem, the blocks and the last convolution.

    Shapes: (N, in_channels, H, W) to (N, last channels, H / stride, W / stride), rounded up.
    """
    norm, same = norm_layer(spec.norm), spec.padding == "same"
    blocks = list(blocks_of(spec))
    stem = conv_norm(
        spec.in_channels, blocks[0].in_channels, 3, norm=norm, activation=spec.activation, same=same, stride=2
    )
    body = [InvertedResidual(block, norm, spec.squeeze_excitation, same=same) for block in blocks]
    last = conv_norm(blocks[-1].out, spec.last_channels(), 1, norm=norm, activation=spec.activation)
    return nn.Sequential(OrderedDict(features=nn.Sequential(stem, *body, last)))
