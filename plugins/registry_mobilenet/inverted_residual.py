"""The inverted residual block. Paper: section 5, figure 4. torchvision: `models.mobilenetv3.InvertedResidual`."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.ops import SqueezeExcitation, StochasticDepth

from registry.modules.norm import Norm
from registry_mobilenet.geometry import Block
from registry_mobilenet.layers import ACTIVATIONS, GATES, conv_norm
from registry_mobilenet.specs import SqueezeExcitationSpec


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excitation, project 1x1; the input is added where sizes and stride allow.

    Shapes: (N, in, H, W) to (N, out, H / stride, W / stride), rounded up.
    """

    def __init__(self, block: Block, norm: Norm, se: SqueezeExcitationSpec, *, same: bool = False) -> None:
        super().__init__()
        self.use_residual = block.residual
        layers = []
        if block.expands:
            layers.append(conv_norm(block.in_channels, block.expanded, 1, norm=norm, activation=block.activation))
        depthwise = {"stride": block.stride, "dilation": block.dilation, "groups": block.expanded}
        layers.append(
            conv_norm(
                block.expanded,
                block.expanded,
                block.kernel,
                norm=norm,
                activation=block.activation,
                same=same,
                **depthwise,
            )
        )
        if block.squeeze is not None:
            inner, gate = ACTIVATIONS[se.activation], GATES[se.gate]
            layers.append(SqueezeExcitation(block.expanded, block.squeeze, inner, gate))
        layers.append(conv_norm(block.expanded, block.out, 1, norm=norm, activation=None))
        self.block = nn.Sequential(*layers)
        # no module at all where nothing is dropped: the state of the random generator must stay torchvision's
        drops = block.residual and block.drop > 0
        self.stochastic_depth = StochasticDepth(block.drop, "row") if drops else nn.Identity()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Runs the block."""
        result: torch.Tensor = self.block(input)
        if self.use_residual:
            result = self.stochastic_depth(result)
            result += input
        return result
