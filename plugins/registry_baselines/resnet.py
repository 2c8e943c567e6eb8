"""The ResNet backbone. torchvision: `models.resnet.ResNet`, up to its pooling."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from registry.modules.norm import Norm, norm_layer
from registry_baselines.resnet_geometry import Stage, stages_of
from registry_baselines.specs import ResNetSpec


def build(spec: ResNetSpec) -> nn.Sequential:
    """The backbone as `conv1`, `bn1`, `relu`, `maxpool` and the stages `layer1`, `layer2`, …

    Shapes: (N, in_channels, H, W) to (N, last channels, H / stride, W / stride), rounded up.
    """
    norm, width = norm_layer(spec.norm), spec.stem_channels
    stem: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(spec.in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)),
        ("bn1", norm(width)),
        ("relu", nn.ReLU(inplace=True)),
        ("maxpool", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
    ]
    block = BasicBlock if spec.block == "basic" else Bottleneck
    stages = [(stage.name, _stage(block, stage, norm)) for stage in stages_of(spec)]
    return nn.Sequential(OrderedDict([*stem, *stages]))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the input, projected where sizes differ, is added to what they yield.

    Shapes: (N, in, H, W) to (N, out, H / stride, W / stride), rounded up. Paper: figure 5, left; torchvision:
    `models.resnet.BasicBlock`, which refuses to be dilated.

    Where dilation takes the place of a stride, the first kernel is spaced as the input and the second as the output, so that
    every second value is what the strided block computes.
    """

    def __init__(self, stage: Stage, norm: Norm, *, first: bool) -> None:
        super().__init__()
        before, inner, stride, dilation = _inputs(stage, first=first)
        downsample = _projection(before, stage.out, stride, norm)  # first, as torchvision draws its random numbers
        self.conv1 = _conv3x3(before, inner, stride, dilation)
        self.bn1 = norm(inner)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(inner, stage.out, 1, stage.dilation)
        self.bn2 = norm(stage.out)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = self.relu(out)
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1; the input, projected where sizes differ, is added to what they yield.

    Shapes: (N, in, H, W) to (N, out, H / stride, W / stride), rounded up. Paper: figure 5, right; torchvision:
    `models.resnet.Bottleneck`.
    """

    def __init__(self, stage: Stage, norm: Norm, *, first: bool) -> None:
        super().__init__()
        before, inner, stride, dilation = _inputs(stage, first=first)
        downsample = _projection(before, stage.out, stride, norm)  # first, as torchvision draws its random numbers
        self.conv1 = nn.Conv2d(before, inner, kernel_size=1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = _conv3x3(inner, inner, stride, dilation)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, stage.out, kernel_size=1, bias=False)
        self.bn3 = norm(stage.out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = self.relu(out)
        return result


def _stage(block: type[BasicBlock] | type[Bottleneck], stage: Stage, norm: Norm) -> nn.Sequential:
    return nn.Sequential(*(block(stage, norm, first=index == 0) for index in range(stage.repeats)))


def _inputs(stage: Stage, *, first: bool) -> tuple[int, int, int, int]:
    """Channels before and inside a block, its stride, and the spacing of its first 3x3 kernel."""
    if first:
        return stage.in_channels, stage.inner, stage.stride, stage.first_dilation
    return stage.out, stage.inner, 1, stage.dilation


def _projection(before: int, out: int, stride: int, norm: Norm) -> nn.Module | None:
    if stride == 1 and before == out:
        return None
    return nn.Sequential(nn.Conv2d(before, out, kernel_size=1, stride=stride, bias=False), norm(out))


def _conv3x3(before: int, out: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(before, out, kernel_size=3, stride=stride, padding=dilation, dilation=dilation, bias=False)
