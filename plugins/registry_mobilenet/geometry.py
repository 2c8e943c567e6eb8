"""The block table made concrete: channel counts, strides and dilations after every switch has been applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.specs import per_spec
from registry_mobilenet.channels import make_divisible

if TYPE_CHECKING:
    from registry_mobilenet.specs import BlockSpec, MobileNetV3Spec


@dataclass(frozen=True)
class Block:
    """One inverted residual as it is built.

    Attributes:
        in_channels, expanded, out: channels before, inside and after.
        kernel: side of the depthwise kernel, in pixels.
        squeeze: channels between the two layers of squeeze-and-excitation; None without it.
        activation: name of the non-linearity.
        stride: step of the depthwise convolution; 1 where dilation takes its place.
        dilation: spacing of the depthwise kernel.
        opens_stage: the table gives it a stride of 2, so a new level of features begins here.
        residual: the input is added to the output.
        drop: probability that stochastic depth drops the residual branch in training.
    """

    in_channels: int
    expanded: int
    out: int
    kernel: int
    squeeze: int | None
    activation: str
    stride: int
    dilation: int
    opens_stage: bool
    residual: bool
    drop: float

    @property
    def expands(self) -> bool:
        """False where the 1x1 expansion would change nothing and is left out."""
        return self.expanded != self.in_channels


def nominal_stride(blocks: Sequence[BlockSpec]) -> int:
    """Input pixels per output step of stem and blocks as the table says; a block with its own dilation keeps its size."""
    stride = 2
    for block in blocks:
        stride *= block.stride if block.dilation == 1 else 1
    return stride


def tail_start(blocks: Sequence[BlockSpec]) -> int:
    """Index of the block that opens the last stage; the number of blocks where none does."""
    strided = [index for index, block in enumerate(blocks) if block.stride > 1]
    return strided[-1] if strided else len(blocks)


def output_stride(spec: MobileNetV3Spec) -> int:
    """The stride that the spec asks for: `output_stride`, or half the table's where `dilated`, or the table's."""
    nominal = nominal_stride(spec.blocks)
    return spec.output_stride or (nominal // 2 if spec.dilated else nominal)


@per_spec
def blocks_of(spec: MobileNetV3Spec) -> tuple[Block, ...]:
    """Every block of the backbone in order.

    Source: torchvision.models.mobilenetv3. A reduced tail halves the last stage before the width multiplier is applied; a
    stride that would pass the output stride becomes a dilation; the residual follows the stride of the table.
    """
    return tuple(_blocks(spec))


def _blocks(spec: MobileNetV3Spec) -> Iterator[Block]:
    limit, stride, rate = output_stride(spec), 2, 1
    tail = tail_start(spec.blocks)
    before = spec.scaled(spec.stem_channels)
    for index, row in enumerate(spec.blocks):
        if row.stride > 1 and row.dilation == 1:
            if stride * row.stride > limit:
                rate *= row.stride
            else:
                stride *= row.stride
        halved = 2 if spec.reduced_tail else 1
        expanded = spec.scaled(row.expanded // (halved if index > tail else 1))
        out = spec.scaled(row.out // (halved if index >= tail else 1))
        dilation = row.dilation * rate
        se = spec.squeeze_excitation
        yield Block(
            in_channels=before,
            expanded=expanded,
            out=out,
            kernel=row.kernel,
            squeeze=make_divisible(expanded // se.ratio, se.divisor) if row.se else None,
            activation=row.activation,
            stride=1 if dilation > 1 else row.stride,
            dilation=dilation,
            opens_stage=row.stride > 1,
            residual=row.stride == 1 and before == out,
            drop=spec.stochastic_depth * index / len(spec.blocks),
        )
        before = out
