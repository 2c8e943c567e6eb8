"""The block table of MobileNetV2 made concrete: one entry a block, after width and output stride have been applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.specs import per_spec

if TYPE_CHECKING:
    from registry_baselines.specs import MobileNetV2Spec, RowSpec


@dataclass(frozen=True)
class Block:
    """One inverted residual as it is built.

    Attributes:
        in_channels, expanded, out: channels before, inside and after.
        expands: False where the 1x1 expansion would change nothing and is left out.
        stride: step of the depthwise convolution; 1 where dilation takes its place.
        dilation: spacing of the depthwise kernel.
        opens_stage: the table gives it a stride of 2, so a new level of features begins here.
        residual: the input is added to the output.
    """

    in_channels: int
    expanded: int
    out: int
    expands: bool
    stride: int
    dilation: int
    opens_stage: bool
    residual: bool


def nominal_stride(rows: Sequence[RowSpec]) -> int:
    """Input pixels per output step of stem and blocks as the table says."""
    stride = 2
    for row in rows:
        stride *= row.stride
    return stride


@per_spec
def blocks_of(spec: MobileNetV2Spec) -> tuple[Block, ...]:
    """Every block in order.

    Source: torchvision.models.mobilenetv2. A row's stride is its first block's; a stride that would pass the output stride
    becomes a dilation, as in torchvision.models.mobilenetv3; the residual follows the stride of the table.
    """
    return tuple(_blocks(spec))


def _blocks(spec: MobileNetV2Spec) -> Iterator[Block]:
    limit, total, rate = spec.output_stride or nominal_stride(spec.blocks), 2, 1
    before = spec.scaled(spec.stem_channels)
    for row in spec.blocks:
        out = spec.scaled(row.out)
        for index in range(row.repeats):
            step = row.stride if index == 0 else 1
            dilated = total * step > limit
            rate, total = (rate * step, total) if dilated else (rate, total * step)
            yield Block(
                in_channels=before,
                expanded=round(before * row.expand_ratio),
                out=out,
                expands=row.expand_ratio != 1,
                stride=1 if dilated else step,
                dilation=rate,
                opens_stage=step > 1,
                residual=step == 1 and before == out,
            )
            before = out
