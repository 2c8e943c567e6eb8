"""Settings of the MobileNetV3 backbone. Paper: Searching for MobileNetV3, Howard et al. 2019, tables 1 and 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    FeatureMap,
    Finding,
    Listed,
    NormSpec,
    Spec,
    group_findings,
    per_spec,
)
from registry_mobilenet.channel_rules import Built, Written, alignment_findings, rounding_findings
from registry_mobilenet.channels import make_divisible
from registry_mobilenet.geometry import blocks_of, nominal_stride, tail_start

Activation = Literal["relu", "relu6", "hardswish", "silu"]
Odd = Literal[1, 3, 5, 7, 9, 11]


class BlockSpec(Spec):
    """One row of the block table: an inverted residual (expand, depthwise, squeeze-and-excitation, project)."""

    kernel: Annotated[Odd, Field(description="Side of the depthwise kernel in pixels; odd.")]
    expanded: Annotated[int, Field(ge=1, le=16384, description="Channels inside the block (exp size in the paper).")]
    out: Annotated[int, Field(ge=1, le=16384, description="Channels after the block (#out in the paper).")]
    se: Annotated[bool, Field(description="Squeeze-and-excitation between depthwise and projection.")] = False
    activation: Annotated[Activation, Field(description="Non-linearity (NL in the paper: RE relu, HS hardswish).")]
    stride: Annotated[Literal[1, 2], Field(description="Step of the depthwise convolution (s in the paper).")] = 1
    dilation: Annotated[
        int,
        Field(ge=1, le=32, description="Spacing of the depthwise kernel; above 1 it takes the place of the stride."),
    ] = 1


class SqueezeExcitationSpec(Spec):
    """Squeeze-and-excitation as in section 5.3 of the paper: a quarter of the expanded channels, a hard gate."""

    ratio: Annotated[int, Field(ge=1, le=64, description="Expanded channels per squeezed channel.")] = 4
    divisor: Annotated[int, Field(ge=1, le=64, description="Squeezed channels are a multiple of this.")] = 8
    activation: Annotated[Literal["relu", "silu"], Field(description="Between the two layers.")] = "relu"
    gate: Annotated[Literal["hardsigmoid", "sigmoid"], Field(description="What turns the result into 0 to 1.")] = (
        "hardsigmoid"
    )


class MobileNetV3Spec(BackboneSpec):
    """A stem, inverted residuals as the table says, and a last 1x1 convolution."""

    type: Annotated[Literal["mobilenet_v3"], Field(description="Registered type of the part.")] = "mobilenet_v3"
    blocks: Annotated[
        Listed[BlockSpec], Field(min_length=1, max_length=256, description="The block table, one row a block.")
    ]
    width_mult: Annotated[float, Field(gt=0, le=16, description="Factor on every channel count.")] = 1.0
    reduced_tail: Annotated[bool, Field(description="Halve the channels of the last stage (paper, section 6.3).")] = (
        False
    )
    dilated: Annotated[
        bool, Field(description="Halve the output stride: the last stage dilates instead of striding.")
    ] = False
    output_stride: Annotated[
        Literal[2, 4, 8, 16, 32, 64] | None,
        Field(description="Input pixels per output step; strides past it become dilations. Instead of `dilated`."),
    ] = None
    stem_channels: Annotated[int, Field(ge=1, le=4096, description="Channels after the first convolution.")] = 16
    last_ratio: Annotated[
        int, Field(ge=1, le=64, description="Channels of the last 1x1 convolution per block output.")
    ] = 6
    activation: Annotated[Activation, Field(description="Non-linearity of stem and last convolution.")] = "hardswish"
    squeeze_excitation: Annotated[SqueezeExcitationSpec, Field(description="Settings of rows with `se`.")] = (
        SqueezeExcitationSpec()
    )
    norm: Annotated[NormSpec, Field(description="Normalisation after every convolution.")] = BatchNormSpec(
        eps=0.001, momentum=0.01
    )
    padding: Annotated[
        Literal["symmetric", "same"],
        Field(description="`symmetric` as torchvision pads; `same` as TensorFlow does, which its weights need."),
    ] = "symmetric"
    stochastic_depth: Annotated[
        float,
        Field(ge=0, lt=1, description="Probability of dropping the last residual branch in training; grows linearly."),
    ] = 0.0

    def scaled(self, channels: int) -> int:
        """A nominal channel count times the width multiplier, a multiple of 8."""
        return make_divisible(channels * self.width_mult, 8)

    def head_channels(self, channels: int) -> int:
        """A classifier's hidden channels: halved with a reduced tail, then scaled, as torchvision does."""
        return self.scaled(channels // 2 if self.reduced_tail else channels)

    def last_channels(self) -> int:
        """Channels after the last 1x1 convolution."""
        return self.last_ratio * blocks_of(self)[-1].out

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """`c0` after the stem, one map where each block with a stride of 2 stands, and the last convolution."""
        return _maps(self)

    def inner_maps(self) -> tuple[FeatureMap, ...]:
        """`cN_expansion`: what the first 1x1 convolution of a block with a stride of 2 yields, before the stride."""
        maps, stride, level = [], 2, 0
        for index, block in enumerate(blocks_of(self), start=1):
            level += block.opens_stage
            if block.opens_stage and block.expands:
                name, module = f"c{level}_expansion", f"features.{index}.block.0"
                maps.append(FeatureMap(name=name, channels=block.expanded, stride=stride, module=module))
            stride *= block.stride
        return tuple(maps)

    def check(self) -> Iterable[Finding]:
        """Switches that contradict the block table; in a table without contradictions, channel counts that rounding changes."""
        found = [*self._check_switches(), *self._check_groups()]
        yield from found
        if not found:
            yield from alignment_findings(self._squeezed())
            yield from rounding_findings(self._written(), self.width_mult)

    def _check_switches(self) -> Iterator[Finding]:
        nominal = nominal_stride(self.blocks)
        has_tail = tail_start(self.blocks) < len(self.blocks)
        for key in ("reduced_tail", "dilated"):
            if getattr(self, key) and not has_tail:
                yield Finding("REG201", (key,), f"`{key}` needs a block with stride 2, and the table has none")
        if self.dilated and self.output_stride is not None:
            yield Finding(
                "REG201", ("output_stride",), "`dilated` and `output_stride` both set the stride", "keep one of them"
            )
        elif self.dilated and has_tail and nominal < 4:
            yield Finding("REG201", ("dilated",), "the table's only strides are already dilations", "remove `dilated`")
        elif self.output_stride is not None and self.output_stride > nominal:
            yield Finding(
                "REG201",
                ("output_stride",),
                f"the table's strides multiply to {nominal}, so the output stride cannot be {self.output_stride}",
                f"write at most {nominal}",
            )

    def _check_groups(self) -> Iterable[Finding]:
        counts = {self.scaled(self.stem_channels), self.last_channels()}
        counts |= {count for block in blocks_of(self) for count in (block.expanded, block.out)}
        return group_findings(self.norm, counts, "norm")

    def _squeezed(self) -> Iterator[Built]:
        """Squeezed channels, the only ones that need not be a multiple of 8."""
        path, hint = ("squeeze_excitation", "divisor"), "write a divisor that is a multiple of 8"
        for index, block in enumerate(blocks_of(self), start=1):
            if block.squeeze is not None:
                yield Built(block.squeeze, f"block {index} squeezes {block.expanded} channels to", path, hint)

    def _written(self) -> Iterator[Written]:
        """What the width multiplier is applied to: the table after a reduced tail has halved its end."""
        yield Written(self.stem_channels, "stem", ("stem_channels",))
        tail = tail_start(self.blocks) if self.reduced_tail else len(self.blocks)
        for index, row in enumerate(self.blocks):
            expanded = row.expanded // (2 if index > tail else 1)
            out = row.out // (2 if index >= tail else 1)
            yield Written(expanded, f"block {index + 1}", ("blocks", index, "expanded"))
            yield Written(out, f"block {index + 1}", ("blocks", index, "out"))


@per_spec
def _maps(spec: MobileNetV3Spec) -> tuple[FeatureMap, ...]:
    stride = 2
    maps = [_map(0, spec.scaled(spec.stem_channels), stride, 0)]
    for index, block in enumerate(blocks_of(spec), start=1):
        stride *= block.stride
        if block.opens_stage:
            maps.append(_map(len(maps), block.out, stride, index))
    maps.append(_map(len(maps), spec.last_channels(), stride, len(spec.blocks) + 1))
    return tuple(maps)


def _map(level: int, channels: int, stride: int, index: int) -> FeatureMap:
    return FeatureMap(name=f"c{level}", channels=channels, stride=stride, module=f"features.{index}")
