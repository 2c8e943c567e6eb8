"""Settings of the detection task and of its heads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    Finding,
    HeadNormSpec,
    HeadSpec,
    Listed,
    Spec,
    TaskSpec,
    group_findings,
)
from registry_detection.limits import background_findings, one_stage_findings, single_shot_findings, two_stage_findings
from registry_detection.settings import AnchorsSpec, Count, FixedImageSpec, ImageSpec, PyramidSpec, Ratio, Share


class DetectionSpec(TaskSpec):
    """Boxes with labels and scores."""

    type: Annotated[Literal["detection"], Field(description="Registered type of the part.")] = "detection"
    colour: Annotated[
        Literal["rgb", "grey"], Field(description="What pictures are read as: three channels or one.")
    ] = "rgb"
    score_threshold: Annotated[Share, Field(description="Least score of a box that is shown.")] = 0.5
    top: Annotated[Count, Field(description="Most boxes that are shown for a picture, best first.")] = 100

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`score` is `score_threshold`, `top` is `top`."""
        return {"score": {"score_threshold": value}, "top": {"top": value}}.get(option, {})


class RPNSpec(Spec):
    """The region proposal network: how many boxes it proposes, and what it learns from. Defaults as in torchvision."""

    pre_nms_top_n_train: Annotated[Count, Field(description="Proposals per level before suppression, training.")] = 2000
    pre_nms_top_n_test: Annotated[Count, Field(description="Proposals per level before suppression, testing.")] = 1000
    post_nms_top_n_train: Annotated[Count, Field(description="Proposals per image after it, training.")] = 2000
    post_nms_top_n_test: Annotated[Count, Field(description="Proposals per image after it, testing.")] = 1000
    nms_threshold: Annotated[Share, Field(description="Overlap (IoU) above which the weaker proposal falls.")] = 0.7
    score_threshold: Annotated[Share, Field(description="Least objectness, in training and testing.")] = 0.0
    foreground_iou: Annotated[Share, Field(description="Overlap from which an anchor is an object.")] = 0.7
    background_iou: Annotated[Share, Field(description="Overlap below which an anchor is background.")] = 0.3
    batch_size_per_image: Annotated[Count, Field(description="Anchors that the loss looks at.")] = 256
    positive_fraction: Annotated[Share, Field(description="Share of objects among them.")] = 0.5


class BoxSpec(Spec):
    """The second stage: pooled boxes, two linear layers, classes and corrections. Defaults as in torchvision."""

    pool_size: Annotated[int, Field(ge=1, le=64, description="Rows and columns that a box is pooled to.")] = 7
    sampling_ratio: Annotated[int, Field(ge=0, le=64, description="Samples per row and bin; 0: as needed.")] = 2
    hidden_channels: Annotated[int, Field(ge=1, le=65536, description="Width of both linear layers.")] = 1024
    score_threshold: Annotated[Share, Field(description="Least score of a detection.")] = 0.05
    nms_threshold: Annotated[Share, Field(description="Overlap (IoU) above which the weaker detection falls.")] = 0.5
    detections_per_image: Annotated[Count, Field(description="Most detections, best first.")] = 100
    foreground_iou: Annotated[Share, Field(description="Overlap from which a proposal is an object.")] = 0.5
    background_iou: Annotated[Share, Field(description="Overlap below which a proposal is background.")] = 0.5
    batch_size_per_image: Annotated[Count, Field(description="Proposals that the loss looks at.")] = 512
    positive_fraction: Annotated[Share, Field(description="Share of objects among them.")] = 0.25
    regression_weights: Annotated[
        Listed[Annotated[float, Field(ge=0.001, le=1000)]],
        Field(min_length=4, max_length=4, description="Factors of the corrections to x, y, width and height."),
    ] = (10.0, 10.0, 5.0, 5.0)


class _PyramidHeadSpec(HeadSpec):
    """What two-stage and one-stage heads over a feature pyramid have in common."""

    task: ClassVar[str] = "detection"
    depends_on_image: ClassVar[bool] = True
    exportable: ClassVar[bool] = False
    splittable: ClassVar[bool] = True

    image: Annotated[ImageSpec, Field(description="Resizing and normalisation, inside the model.")] = ImageSpec()
    pyramid: Annotated[PyramidSpec, Field(description="The feature pyramid.")]
    anchors: Annotated[AnchorsSpec, Field(description="Reference boxes.")]

    def image_size(self) -> tuple[int, int]:
        """The shorter side, twice."""
        return self.image.shortest(), self.image.shortest()

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`size` is the shorter side; the longest allowed keeps its proportion to it."""
        if option != "size":
            return {}
        longest = round(value * self.image.max_size / self.image.shortest())
        return {"image.min_size": value, "image.max_size": longest}

    def check(self) -> Iterable[Finding]:
        """Sizes and anchors that contradict each other."""
        if self.image.max_size < self.image.shortest():
            text = f"`max_size` {self.image.max_size} is less than `min_size` {self.image.shortest()}"
            yield Finding("REG201", ("image", "max_size"), text, f"write at least {self.image.shortest()}")
        yield from self.anchors.problems(self.pyramid.count(), "anchors")

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """Levels that the backbone lacks."""
        yield from self.image.problems(backbone.in_channels, "image")
        yield from self.pyramid.problems(backbone, "pyramid")


class FasterRCNNSpec(_PyramidHeadSpec):
    """Faster R-CNN over a feature pyramid. Paper: arXiv 1506.01497; torchvision.models.detection.faster_rcnn.

    `num_classes` counts the background, which is class 0.
    """

    type: Annotated[Literal["faster_rcnn"], Field(description="Registered type of the part.")] = "faster_rcnn"
    rpn: Annotated[RPNSpec, Field(description="First stage.")] = RPNSpec()
    box: Annotated[BoxSpec, Field(description="Second stage.")] = BoxSpec()

    def check(self) -> Iterable[Finding]:
        """As every pyramid head, thresholds and limits that contradict each other, and the background alone."""
        yield from super().check()
        yield from background_findings(self.num_classes)
        for name, part in (("rpn", self.rpn), ("box", self.box)):
            if part.background_iou > part.foreground_iou:
                text = f"`background_iou` {part.background_iou} is above `foreground_iou` {part.foreground_iou}"
                yield Finding("REG201", (name, "background_iou"), text, f"write at most {part.foreground_iou}")
        if self.num_classes > 1:
            yield from two_stage_findings(self)

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """Levels that the backbone lacks, or from which boxes cannot be pooled."""
        found = list(super().check_backbone(backbone))
        yield from found or self.pyramid.pooling_problems(backbone, "pyramid")


class RetinaNetSpec(_PyramidHeadSpec):
    """RetinaNet: one stage with focal loss. Paper: arXiv 1708.02002; torchvision.models.detection.retinanet."""

    type: Annotated[Literal["retinanet"], Field(description="Registered type of the part.")] = "retinanet"
    score_threshold: Annotated[Share, Field(description="Least score of a detection.")] = 0.05
    nms_threshold: Annotated[Share, Field(description="Overlap (IoU) above which the weaker detection falls.")] = 0.5
    detections_per_image: Annotated[Count, Field(description="Most detections, best first.")] = 300
    candidates: Annotated[Count, Field(description="Most boxes of a level before suppression.")] = 1000
    foreground_iou: Annotated[Share, Field(description="Overlap from which an anchor is an object.")] = 0.5
    background_iou: Annotated[Share, Field(description="Overlap below which an anchor is background.")] = 0.4

    def check(self) -> Iterable[Finding]:
        """As every pyramid head, and thresholds and limits that contradict each other."""
        yield from super().check()
        if self.background_iou > self.foreground_iou:
            text = f"`background_iou` {self.background_iou} is above `foreground_iou` {self.foreground_iou}"
            yield Finding("REG201", ("background_iou",), text, f"write at most {self.foreground_iou}")
        yield from one_stage_findings(self)


class DefaultBoxesSpec(Spec):
    """SSD's default boxes: their size grows from level to level. torchvision.models.detection.anchor_utils."""

    ratios: Annotated[
        Listed[Annotated[Listed[Ratio], Field(max_length=16)]],
        Field(min_length=2, max_length=32, description="Width divided by height beside 1, and inverted, each level."),
    ] = ((2.0, 3.0),) * 6
    min_ratio: Annotated[
        float, Field(ge=0.001, le=1, description="Side of the finest level's boxes, as a share of the image.")
    ] = 0.2
    max_ratio: Annotated[Share, Field(description="Side of the coarsest level's boxes, likewise.")] = 0.95


class SSDLiteSpec(HeadSpec):
    """SSDlite: depthwise predictors on two levels of the backbone and some more. Papers: MobileNetV2, section 6.2, and
    MobileNetV3, section 6.3; torchvision.models.detection.ssdlite. `num_classes` counts the background, class 0.
    """

    type: Annotated[Literal["ssdlite"], Field(description="Registered type of the part.")] = "ssdlite"
    task: ClassVar[str] = "detection"
    depends_on_image: ClassVar[bool] = True
    exportable: ClassVar[bool] = False
    splittable: ClassVar[bool] = True

    image: Annotated[FixedImageSpec, Field(description="Resizing and normalisation, inside the model.")] = (
        FixedImageSpec(mean=(0.5,), std=(0.5,))
    )
    levels: Annotated[
        Listed[int | str],
        Field(min_length=1, max_length=16, description="Names or strides of the backbone's maps, finest first."),
    ] = ("c4_expansion", "c5")
    extra_channels: Annotated[
        Listed[Annotated[int, Field(ge=2, le=8192)]],
        Field(max_length=16, description="Channels of each level below them, of twice the stride of the one before."),
    ] = (512, 256, 256, 128)
    boxes: Annotated[DefaultBoxesSpec, Field(description="Reference boxes.")] = DefaultBoxesSpec()
    norm: Annotated[HeadNormSpec, Field(description="Normalisation of extra levels and predictors.")] = BatchNormSpec(
        eps=0.001, momentum=0.03
    )
    score_threshold: Annotated[Share, Field(description="Least score of a detection.")] = 0.001
    nms_threshold: Annotated[Share, Field(description="Overlap (IoU) above which the weaker detection falls.")] = 0.55
    detections_per_image: Annotated[Count, Field(description="Most detections, best first.")] = 300
    candidates: Annotated[Count, Field(description="Most boxes of a class before suppression.")] = 300
    foreground_iou: Annotated[Share, Field(description="Overlap from which a default box is an object.")] = 0.5
    positive_fraction: Annotated[
        float, Field(gt=0, le=1, description="Share of objects among the boxes that the loss looks at.")
    ] = 0.25
    init_std: Annotated[
        float, Field(gt=0, le=1, description="Deviation of convolutions in a network without weights.")
    ] = 0.03

    def image_size(self) -> tuple[int, int]:
        """The fixed size."""
        return self.image.size[0], self.image.size[1]

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`size` is both sides of the image."""
        return {"image.size": [value, value]} if option == "size" else {}

    def check(self) -> Iterable[Finding]:
        """As many lists of ratios as levels, the background alone, and limits that contradict each other."""
        yield from background_findings(self.num_classes)
        levels = len(self.levels) + len(self.extra_channels)
        if len(self.boxes.ratios) != levels:
            text = f"there are {len(self.boxes.ratios)} lists of ratios and {levels} levels"
            yield Finding("REG201", ("boxes", "ratios"), text, "give one list for each level, the extra ones included")
        if self.boxes.max_ratio <= self.boxes.min_ratio:
            text = f"`max_ratio` {self.boxes.max_ratio} is not above `min_ratio` {self.boxes.min_ratio}"
            yield Finding("REG201", ("boxes", "max_ratio"), text)
        if self.num_classes > 1:
            yield from single_shot_findings(self)

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """Levels that the backbone lacks, or not in that order, and groups that do not divide the channels."""
        from registry_detection.cuts import check_levels

        yield from self.image.problems(backbone.in_channels, "image")
        yield from check_levels(self.levels, backbone)
        found = [feature.channels for feature in map(backbone.find_map, self.levels) if feature is not None]
        halves = [count // 2 for count in self.extra_channels]
        yield from group_findings(self.norm, [*found, *halves, *self.extra_channels], "norm")
