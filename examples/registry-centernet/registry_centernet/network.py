"""The dense part: backbone, neck, and a branch each for heatmap, size and offset. Fixed in its computation, so exportable."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from registry.modules.features import FeatureExtractor
from registry.modules.norm import Norm, norm_layer
from registry.specs import BackboneSpec
from registry_centernet.settings import NeckSpec
from registry_centernet.specs import CenterNetSpec

#: Deviation of the last convolution of a branch before training. Source: RetinaNet, arXiv 1708.02002, section 4.1.
_LAST_STD = 0.01


class Neck(nn.Module):
    """Maps, finest first, each (N, its channels, h, w), to one (N, channels, h, w) of the size of the first."""

    def __init__(self, spec: NeckSpec, in_channels: Sequence[int]) -> None:
        super().__init__()
        norm = norm_layer(spec.norm)
        self.mode: str = spec.upsampling
        self.lateral = nn.ModuleList(_conv_norm_relu(count, spec.channels, 1, norm) for count in in_channels)
        self.smooth = nn.ModuleList(_conv_norm_relu(spec.channels, spec.channels, 3, norm) for _ in in_channels[1:])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """From the coarsest map up."""
        levels: list[Tensor] = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        joined = levels[-1]
        for level, smooth in zip(reversed(levels[:-1]), self.smooth, strict=True):
            joined = smooth(level + F.interpolate(joined, size=level.shape[-2:], mode=self.mode))
        return joined


class Network(nn.Module):
    """Images (N, C, H, W), normalised, to a dict of maps at the stride of the first level.

    `heatmap` (N, num_classes - 1, h, w) before the sigmoid; `size` (N, 2, h, w), width and height, and `offset` (N, 2, h, w),
    x and y, both in steps of the map.
    """

    def __init__(self, spec: CenterNetSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> None:
        super().__init__()
        maps = spec.neck.maps(backbone_spec)
        self.body = FeatureExtractor(backbone, {str(index): feature for index, feature in enumerate(maps)})
        self.neck = Neck(spec.neck, [feature.channels for feature in maps])
        outputs = {"heatmap": spec.num_classes - 1, "size": 2, "offset": 2}
        self.branches = nn.ModuleDict(
            {name: _branch(spec.neck.channels, spec.branch_channels, count) for name, count in outputs.items()}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Runs all of it."""
        joined = self.neck(list(self.body(images).values()))
        return {name: branch(joined) for name, branch in self.branches.items()}


def initialise(network: Network, prior: float) -> None:
    """He initialisation of neck and branches, small last convolutions, and a heatmap that is `prior` everywhere.

    Source: arXiv 1502.01852, and RetinaNet (arXiv 1708.02002, section 3.3) for the prior; the authors' bias of -2.19 is
    a prior of 0.1.
    """
    for module in (*network.neck.modules(), *network.branches.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for branch in network.branches.values():
        nn.init.normal_(branch.get_parameter("last.weight"), std=_LAST_STD)
    nn.init.constant_(network.branches["heatmap"].get_parameter("last.bias"), math.log(prior / (1 - prior)))


def _conv_norm_relu(in_channels: int, channels: int, kernel: int, norm: Norm) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, norm(channels), nn.ReLU(inplace=True))


def _branch(in_channels: int, channels: int, out_channels: int) -> nn.Sequential:
    branch = nn.Sequential()
    branch.add_module("conv", nn.Conv2d(in_channels, channels, 3, padding=1))
    branch.add_module("relu", nn.ReLU(inplace=True))
    branch.add_module("last", nn.Conv2d(channels, out_channels, 1))
    return branch
