"""The layers that the backbone is made of: convolution with norm and activation, and TensorFlow's padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation
from torchvision.ops.misc import ConvNormActivation

from registry.modules.norm import Norm

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
}
GATES: dict[str, type[nn.Module]] = {"hardsigmoid": nn.Hardsigmoid, "sigmoid": nn.Sigmoid}


class Conv2dSame(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does: the output has ceil(size / stride) steps, and where the padding is
    odd its larger half lies right and below. Its parameters are those of `nn.Conv2d`.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        height = self._missing(input.shape[2], 0)
        width = self._missing(input.shape[3], 1)
        padded = F.pad(input, [width // 2, width - width // 2, height // 2, height - height // 2])
        convolved: torch.Tensor = self._conv_forward(padded, self.weight, self.bias)
        return convolved

    def _missing(self, size: int, axis: int) -> int:
        """Pixels of padding that one axis of `size` pixels needs."""
        step, reach = self.stride[axis], (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        steps = (size + step - 1) // step
        return max((steps - 1) * step + reach - size, 0)


class _SameNormActivation(ConvNormActivation):  # type: ignore[misc]  # torchvision ships no types
    """torchvision's convolution, norm and activation, around a convolution with SAME padding."""


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    norm: Norm,
    activation: str | None,
    same: bool = False,
    **settings: Any,
) -> nn.Module:
    """Convolution, normalisation and activation, children `0`, `1` and `2`.

    Args:
        activation: name of a non-linearity, or None for none.
        same: SAME padding, which differs from the symmetric one only where there is a stride.
        settings: stride, dilation and groups, as `torchvision.ops.Conv2dNormActivation` takes them.
    """
    layer = None if activation is None else ACTIVATIONS[activation]
    common = {"kernel_size": kernel, "norm_layer": norm, "activation_layer": layer, **settings}
    if same and settings.get("stride", 1) > 1:
        built: nn.Module = _SameNormActivation(in_channels, out_channels, padding=0, conv_layer=Conv2dSame, **common)
    else:
        built = Conv2dNormActivation(in_channels, out_channels, **common)
    return built
