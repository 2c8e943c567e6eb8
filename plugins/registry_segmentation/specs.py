"""Settings of the segmentation task and of its heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    FeatureMap,
    Finding,
    GroupNormSpec,
    HeadNormSpec,
    HeadSpec,
    Listed,
    PictureSpec,
    Spec,
    TaskSpec,
    group_findings,
)

Width = Annotated[int, Field(ge=1, le=8192)]


class PreprocessingSpec(PictureSpec):
    """From a picture to the model's input: resize, scale to 0..1, normalise.

    Source: torchvision.transforms._presets.SemanticSegmentation.
    """

    resize: Annotated[
        int | None, Field(ge=1, le=8192, description="Length of the shorter side in pixels; null: keep.")
    ] = 520


class SegmentationSpec(TaskSpec):
    """One of several classes for every pixel."""

    type: Annotated[Literal["segmentation"], Field(description="Registered type of the part.")] = "segmentation"
    preprocessing: Annotated[PreprocessingSpec, Field(description="From a picture to the model's input.")] = (
        PreprocessingSpec()
    )
    ignore_index: Annotated[int, Field(ge=-1, le=65535, description="Id in masks of pixels that do not count.")] = 255

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`size` is the shorter side."""
        return {"preprocessing.resize": value} if option == "size" else {}

    def image_size(self) -> tuple[int, int] | None:
        """The shorter side, twice."""
        side = self.preprocessing.resize
        return None if side is None else (side, side)

    def check(self) -> Iterable[Finding]:
        """Mean and deviation that do not fit each other or pictures."""
        return self.preprocessing.problems("preprocessing")


class _DenseHeadSpec(HeadSpec):
    """What heads that classify every step of the last map have in common."""

    task: ClassVar[str] = "segmentation"

    output_stride: Annotated[
        Literal[2, 4, 8, 16, 32, 64], Field(description="Input pixels per step of the backbone's last map.")
    ] = 16
    norm: Annotated[HeadNormSpec, Field(description="Normalisation after each convolution of the head.")] = (
        BatchNormSpec()
    )

    def check(self) -> Iterable[Finding]:
        """More classes than the background."""
        if self.num_classes < 2:
            text = "every pixel is of the only class there is, so nothing can be learned"
            yield Finding("REG204", ("num_classes",), text, "write at least 2: class 0 is the background")

    def check_task(self, task: TaskSpec) -> Iterable[Finding]:
        """An id of pixels that do not count which is a class."""
        if isinstance(task, SegmentationSpec) and 0 <= task.ignore_index < self.num_classes:
            ignored, last = task.ignore_index, self.num_classes - 1
            text = f"`ignore_index` {ignored} is a class, 0 to {last}, whose pixels never count, so it is never learned"
            free = 255 if last < 255 else -1
            places = [("task", "ignore_index"), ("head", "num_classes")]
            if "ignore_index" not in task.model_fields_set:  # the default, which stands in no document
                places.reverse()
            hint = f"write an id that is no class, such as {free}"
            yield Finding("REG213", places[0], text, hint, "warning", also=(places[1],))

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """The last map must have the stride that the head was made for."""
        last = backbone.feature_maps()[-1]
        if last.stride != self.output_stride:
            yield Finding(
                "REG202",
                ("output_stride",),
                f"the backbone's last map `{last.name}` has stride {last.stride}, the head wants {self.output_stride}",
                _stride_hint(backbone, self.output_stride, last.stride),
            )


class LRASPPSpec(_DenseHeadSpec):
    """Lite R-ASPP: the last map gated by its own average, joined with a finer one.

    Paper: Searching for MobileNetV3, section 6.4; torchvision.models.segmentation.lraspp. The average is over the whole
    map, where the paper takes windows of 49x49.
    """

    type: Annotated[Literal["lraspp"], Field(description="Registered type of the part.")] = "lraspp"
    low: Annotated[int | str, Field(description="Stride or name of the finer map.")] = 8
    inter_channels: Annotated[Width, Field(description="Channels after the first convolution.")] = 128

    def check(self) -> Iterable[Finding]:
        """As above, and groups that divide the channels."""
        yield from super().check()
        yield from group_findings(self.norm, [self.inter_channels], "norm")

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """The last map's stride, and a finer map before it."""
        yield from super().check_backbone(backbone)
        yield from level_findings(self.low, backbone, "low")


class AuxiliarySpec(Spec):
    """A second, small head on an earlier map, whose loss helps to train; its outputs are there in testing too."""

    level: Annotated[int | str, Field(description="Stride or name of the map.")] = 8
    weight: Annotated[float, Field(ge=0, le=100, description="Factor of its loss.")] = 0.5
    reduction: Annotated[int, Field(ge=1, le=64, description="Channels of the map per hidden channel.")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a hidden value.")] = 0.1


class _WithAuxiliarySpec(_DenseHeadSpec):
    """A head that may have an auxiliary one."""

    aux: Annotated[AuxiliarySpec | None, Field(description="The auxiliary head; null: none.")] = None

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """The last map's stride, and the auxiliary head's map."""
        yield from super().check_backbone(backbone)
        if self.aux is None:
            return
        found = list(level_findings(self.aux.level, backbone, "aux", "level"))
        yield from found
        feature = backbone.find_map(self.aux.level)
        if feature is not None and not found:
            yield from reduction_findings(feature, self.aux.reduction, "aux", "reduction")
            yield from group_findings(self.norm, [max(1, feature.channels // self.aux.reduction)], "norm")


class DeepLabV3Spec(_WithAuxiliarySpec):
    """Atrous spatial pyramid pooling. Paper: arXiv 1706.05587; torchvision.models.segmentation.deeplabv3."""

    type: Annotated[Literal["deeplabv3"], Field(description="Registered type of the part.")] = "deeplabv3"
    channels: Annotated[Width, Field(description="Channels of every branch.")] = 256
    atrous_rates: Annotated[
        Listed[Annotated[int, Field(ge=1, le=256)]],
        Field(min_length=1, max_length=16, description="Dilation of each 3x3 branch, in steps of the last map."),
    ] = (12, 24, 36)
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a hidden value.")] = 0.5

    def check(self) -> Iterable[Finding]:
        """As above, and groups that divide the channels and leave each more than one: the map's average is one value."""
        yield from super().check()
        yield from group_findings(self.norm, [self.channels], "norm")
        if isinstance(self.norm, GroupNormSpec) and self.norm.groups == self.channels:
            text = f"each of {self.norm.groups} groups has one channel, and one value of the averaged map is always its mean"
            yield Finding("REG201", ("norm", "groups"), text, "write fewer groups, or more channels")


class FCNSpec(_WithAuxiliarySpec):
    """A fully convolutional head. Paper: arXiv 1411.4038; torchvision.models.segmentation.fcn."""

    type: Annotated[Literal["fcn"], Field(description="Registered type of the part.")] = "fcn"
    reduction: Annotated[int, Field(ge=1, le=64, description="Channels of the map per hidden channel.")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a hidden value.")] = 0.1

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """As above, and enough channels to reduce."""
        yield from super().check_backbone(backbone)
        last = backbone.feature_maps()[-1]
        yield from reduction_findings(last, self.reduction, "reduction")
        yield from group_findings(self.norm, [max(1, last.channels // self.reduction)], "norm")


def _stride_hint(backbone: BackboneSpec, wanted: int, there: int) -> str:
    own = f"head.output_stride: {there}"
    if not hasattr(backbone, "output_stride"):
        return f"write {own}"
    return f"write backbone.output_stride: {wanted}, or {own}"


def level_findings(level: int | str, backbone: BackboneSpec, *path: str) -> Iterator[Finding]:
    """A map that the backbone does not yield between its stages and before its last map."""
    *offered, last = backbone.feature_maps()
    feature = backbone.find_map(level)
    if feature in offered:
        return
    what = f"stride {level}" if isinstance(level, int) else f"name `{level}`"
    if feature is None:
        text = f"the backbone has no map of {what}"
    elif feature == last:
        text = f"the map of {what} is the backbone's last, `{last.name}`; one before it is needed"
    else:
        text = f"the map of {what} lies inside a block; the map of a stage is needed"
    known = ", ".join(f"`{m.name}` (stride {m.stride})" for m in offered)
    yield Finding("REG202", path, text, f"choose from {known}" if known else None)


def reduction_findings(feature: FeatureMap, reduction: int, *path: str) -> Iterator[Finding]:
    """A reduction that leaves no channel."""
    if feature.channels < reduction:
        text = f"the map `{feature.name}` has {feature.channels} channels, which cannot be reduced {reduction} times"
        yield Finding("REG201", path, text, f"write at most {feature.channels}")
