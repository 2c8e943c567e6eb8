"""The stages of a ResNet made concrete: channel counts, strides and dilations after the output stride has been applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.specs import per_spec

if TYPE_CHECKING:
    from registry_baselines.specs import ResNetSpec

#: Channels after a block per channel of its 3x3 convolution.
EXPANSION = {"basic": 1, "bottleneck": 4}
#: Stride after the first convolution and the pooling, in pixels.
STEM_STRIDE = 4


@dataclass(frozen=True)
class Stage:
    """One of `layer1`, `layer2`, … as it is built.

    Attributes:
        name: of the module.
        in_channels, inner, out: channels before the stage, in its 3x3 convolutions, and after it.
        repeats: number of blocks.
        stride: step of the first block; 1 where dilation takes its place.
        first_dilation: spacing of the first kernel, which still looks at what the stage before yields.
        dilation: spacing of all other kernels.
        output_stride: input pixels per step of what the stage yields.
    """

    name: str
    in_channels: int
    inner: int
    out: int
    repeats: int
    stride: int
    first_dilation: int
    dilation: int
    output_stride: int


def nominal_stride(spec: ResNetSpec) -> int:
    """Input pixels per output step where nothing is dilated: every stage but the first halves its maps."""
    return int(STEM_STRIDE * 2 ** (len(spec.layers) - 1))


@per_spec
def stages_of(spec: ResNetSpec) -> tuple[Stage, ...]:
    """Every stage in order.

    Source: torchvision.models.resnet, `ResNet._make_layer`. Steps that would pass the output stride become dilations.
    """
    return tuple(_stages(spec))


def _stages(spec: ResNetSpec) -> Iterator[Stage]:
    limit = spec.output_stride or nominal_stride(spec)
    before, total, rate = spec.stem_channels, STEM_STRIDE, 1
    for index, repeats in enumerate(spec.layers):
        step = 1 if index == 0 else 2
        dilated = total * step > limit
        inner = spec.stem_channels * 2**index
        stage = Stage(
            name=f"layer{index + 1}",
            in_channels=before,
            inner=inner,
            out=inner * EXPANSION[spec.block],
            repeats=repeats,
            stride=1 if dilated else step,
            first_dilation=rate,
            dilation=rate * step if dilated else rate,
            output_stride=total if dilated else total * step,
        )
        yield stage
        before, total, rate = stage.out, stage.output_stride, stage.dilation
