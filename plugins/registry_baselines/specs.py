"""Settings of ResNet and MobileNetV2 backbones and of their classifiers.

Papers: Deep Residual Learning for Image Recognition, He et al. 2015, table 1; MobileNetV2: Inverted Residuals and Linear
Bottlenecks, Sandler et al. 2018, table 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from registry_mobilenet.channel_rules import Built, Written, alignment_findings, rounding_findings
from registry_mobilenet.channels import make_divisible

from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    FeatureMap,
    Finding,
    HeadSpec,
    Listed,
    NormSpec,
    Spec,
    group_findings,
    per_spec,
)
from registry_baselines import mobilenet_v2_geometry as v2
from registry_baselines import resnet_geometry as resnet

OutputStride = Literal[8, 16, 32]


class ResNetSpec(BackboneSpec):
    """A 7x7 convolution, a pooling, and stages of residual blocks, each of half the size and twice the width."""

    type: Annotated[Literal["resnet"], Field(description="Registered type of the part.")] = "resnet"
    block: Annotated[
        Literal["basic", "bottleneck"],
        Field(description="`basic`: two 3x3 convolutions; `bottleneck`: 1x1, 3x3, and 1x1 to four times the channels."),
    ] = "bottleneck"
    layers: Annotated[
        Listed[Annotated[int, Field(ge=1, le=256)]],
        Field(min_length=1, max_length=6, description="Number of blocks of each stage."),
    ] = (3, 4, 6, 3)
    stem_channels: Annotated[
        int, Field(ge=1, le=4096, description="Channels of stem and first stage's 3x3 convolutions; doubles by stage.")
    ] = 64
    norm: Annotated[NormSpec, Field(description="Normalisation after every convolution.")] = BatchNormSpec()
    output_stride: Annotated[
        OutputStride | None, Field(description="Input pixels per output step; strides past it become dilations.")
    ] = None

    @per_spec
    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """`c1` before the pooling, and one map after each stage."""
        stem = FeatureMap(name="c1", channels=self.stem_channels, stride=2, module="relu")
        return (
            stem,
            *(
                FeatureMap(name=f"c{index}", channels=stage.out, stride=stage.output_stride, module=stage.name)
                for index, stage in enumerate(resnet.stages_of(self), start=2)
            ),
        )

    def check(self) -> Iterable[Finding]:
        """An output stride above the stages', groups that divide no channel count, and channels that phones pad."""
        stages = list(resnet.stages_of(self))
        found = list(_stride_problems(self.output_stride, resnet.nominal_stride(self), "stages"))
        found += group_findings(self.norm, {count for s in stages for count in (s.inner, s.out)}, "norm")
        yield from found
        if not found:
            hint = f"write {make_divisible(self.stem_channels, 8)}"
            yield from alignment_findings([Built(self.stem_channels, "the stem has", ("stem_channels",), hint)])


class RowSpec(Spec):
    """One row of MobileNetV2's block table: `repeats` inverted residuals, the first of which has the stride."""

    expand_ratio: Annotated[
        float, Field(ge=1, le=64, description="Channels inside a block per channel before it (t in the paper).")
    ]
    out: Annotated[int, Field(ge=1, le=16384, description="Channels after each block (c in the paper).")]
    repeats: Annotated[int, Field(ge=1, le=256, description="Number of blocks (n in the paper).")] = 1
    stride: Annotated[Literal[1, 2], Field(description="Step of the first block (s in the paper).")] = 1


class MobileNetV2Spec(BackboneSpec):
    """A stem, inverted residuals as the table says, and a last 1x1 convolution."""

    type: Annotated[Literal["mobilenet_v2"], Field(description="Registered type of the part.")] = "mobilenet_v2"
    blocks: Annotated[Listed[RowSpec], Field(min_length=1, max_length=64, description="The block table.")]
    width_mult: Annotated[float, Field(gt=0, le=16, description="Factor on every channel count.")] = 1.0
    stem_channels: Annotated[int, Field(ge=1, le=4096, description="Channels after the first convolution.")] = 32
    last_channels: Annotated[
        int, Field(ge=1, le=65536, description="Channels of the last 1x1 convolution; a width below 1 leaves them.")
    ] = 1280
    norm: Annotated[NormSpec, Field(description="Normalisation after every convolution.")] = BatchNormSpec()
    output_stride: Annotated[
        OutputStride | None, Field(description="Input pixels per output step; strides past it become dilations.")
    ] = None

    def scaled(self, channels: int) -> int:
        """A nominal channel count times the width multiplier, a multiple of 8."""
        return make_divisible(channels * self.width_mult, 8)

    def scaled_last(self) -> int:
        """Channels after the last 1x1 convolution."""
        return make_divisible(self.last_channels * max(1.0, self.width_mult), 8)

    @per_spec
    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """`c0` after the stem, one map where each block with a stride of 2 stands, and the last convolution."""
        stride, index = 2, 0
        maps = [FeatureMap(name="c0", channels=self.scaled(self.stem_channels), stride=stride, module="features.0")]
        for index, block in enumerate(v2.blocks_of(self), start=1):
            stride *= block.stride
            if block.opens_stage:
                maps.append(self._map(len(maps), block.out, stride, index))
        maps.append(self._map(len(maps), self.scaled_last(), stride, index + 1))
        return tuple(maps)

    def inner_maps(self) -> tuple[FeatureMap, ...]:
        """`cN_expansion`: what the first 1x1 convolution of a block with a stride of 2 yields, before the stride."""
        maps, stride, level = [], 2, 0
        for index, block in enumerate(v2.blocks_of(self), start=1):
            level += block.opens_stage
            if block.opens_stage and block.expands:
                name, module = f"c{level}_expansion", f"features.{index}.conv.0"
                maps.append(FeatureMap(name=name, channels=block.expanded, stride=stride, module=module))
            stride *= block.stride
        return tuple(maps)

    def check(self) -> Iterable[Finding]:
        """As of every backbone with strides and norms, and channels that phones pad or that rounding changes."""
        found = list(_stride_problems(self.output_stride, v2.nominal_stride(self.blocks), "table's strides"))
        counts = {self.scaled(self.stem_channels), self.scaled_last()}
        counts |= {count for block in v2.blocks_of(self) for count in (block.expanded, block.out)}
        found += group_findings(self.norm, counts, "norm")
        yield from found
        if not found:
            yield from alignment_findings(self._expanded())
            yield from rounding_findings(self._written(), self.width_mult)

    def _expanded(self) -> Iterator[Built]:
        """Channels inside blocks, the only ones that need not be a multiple of 8."""
        rows = [index for index, row in enumerate(self.blocks) for _ in range(row.repeats)]
        for row, block in zip(rows, v2.blocks_of(self), strict=True):
            ratio = self.blocks[row].expand_ratio
            text = f"row {row + 1} of the table expands {block.in_channels} channels to"
            hint = f"write a whole number, such as {max(1, round(ratio))}"
            yield Built(block.expanded, text, ("blocks", row, "expand_ratio"), hint)

    def _written(self) -> Iterator[Written]:
        yield Written(self.stem_channels, "stem", ("stem_channels",))
        for index, row in enumerate(self.blocks):
            yield Written(row.out, f"row {index + 1}", ("blocks", index, "out"))

    @staticmethod
    def _map(level: int, channels: int, stride: int, index: int) -> FeatureMap:
        return FeatureMap(name=f"c{level}", channels=channels, stride=stride, module=f"features.{index}")


class ResNetClassifierSpec(HeadSpec):
    """Pooling and one linear layer. torchvision: `ResNet.fc`."""

    type: Annotated[Literal["resnet_classifier"], Field(description="Registered type of the part.")] = (
        "resnet_classifier"
    )
    task: ClassVar[str] = "classification"


class MobileNetV2ClassifierSpec(HeadSpec):
    """Pooling, dropout and one linear layer. torchvision: `MobileNetV2.classifier`."""

    type: Annotated[Literal["mobilenet_v2_classifier"], Field(description="Registered type of the part.")] = (
        "mobilenet_v2_classifier"
    )
    task: ClassVar[str] = "classification"

    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a feature in training.")] = 0.2


def _stride_problems(wanted: int | None, nominal: int, what: str) -> Iterator[Finding]:
    if wanted is not None and wanted > nominal:
        text = f"the {what} multiply to {nominal}, so the output stride cannot be {wanted}"
        hint = f"write at most {nominal}" if nominal >= 8 else "write null"
        yield Finding("REG201", ("output_stride",), text, hint)
