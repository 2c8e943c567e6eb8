"""Settings of how training pictures are changed, one spec for each task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from registry.specs import Finding, Listed, Spec

Probability = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[float, Field(gt=0, le=100)]
Interval = Annotated[Listed[Positive], Field(min_length=2, max_length=2)]
Interpolation = Annotated[Literal["bilinear", "bicubic", "nearest"], Field(description="How pixels are resampled.")]
Colour = Annotated[Listed[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]


class AutoAugmentSpec(Spec):
    """Policies that were searched for a dataset. Paper: arXiv 1805.09501; torchvision.transforms.v2.AutoAugment."""

    kind: Annotated[Literal["autoaugment"], Field(description="Which policy.")] = "autoaugment"
    dataset: Annotated[
        Literal["imagenet", "cifar10", "svhn"], Field(description="The dataset that the policy was searched for.")
    ] = "imagenet"


class RandAugmentSpec(Spec):
    """Some operations of one strength. Paper: arXiv 1909.13719; torchvision.transforms.v2.RandAugment."""

    kind: Annotated[Literal["randaugment"], Field(description="Which policy.")] = "randaugment"
    operations: Annotated[int, Field(ge=1, le=16, description="Operations one after another.")] = 2
    magnitude: Annotated[int, Field(ge=0, le=30, description="Their strength, of 31 steps.")] = 9


class TrivialAugmentSpec(Spec):
    """One operation of any strength. Paper: arXiv 2103.10158; torchvision.transforms.v2.TrivialAugmentWide."""

    kind: Annotated[Literal["trivialaugment"], Field(description="Which policy.")] = "trivialaugment"


class AugMixSpec(Spec):
    """A mixture of chains of operations. Paper: arXiv 1912.02781; torchvision.transforms.v2.AugMix."""

    kind: Annotated[Literal["augmix"], Field(description="Which policy.")] = "augmix"
    severity: Annotated[int, Field(ge=1, le=10, description="Strength of the operations.")] = 3
    width: Annotated[int, Field(ge=1, le=16, description="Chains that are mixed.")] = 3


def _named(value: Any) -> Any:
    """`policy: augmix` is short for `policy: {kind: augmix}`."""
    return {"kind": value} if isinstance(value, str) else value


_Policy = Annotated[AutoAugmentSpec | RandAugmentSpec | TrivialAugmentSpec | AugMixSpec, Field(discriminator="kind")]
PolicySpec = Annotated[
    _Policy,
    BeforeValidator(
        _named,
        json_schema_input_type=_Policy | Literal["autoaugment", "randaugment", "trivialaugment", "augmix"],
    ),
]


def _falling(name: str, interval: tuple[float, ...], *path: str) -> Iterator[Finding]:
    if interval[0] > interval[1]:
        text = f"`{name}` runs from {interval[0]:g} to {interval[1]:g}"
        yield Finding("REG201", (*path, name), text, "write the smaller one first")


class ClassificationAugmentationSpec(Spec):
    """Crop, flip, policy, and erasing after normalisation, in this order. Source: torchvision's classification reference."""

    kind: Annotated[Literal["classification"], Field(description="The task whose pictures are changed.")] = (
        "classification"
    )
    size: Annotated[Side | None, Field(description="Side of the crop in pixels; null: as the model's task crops.")] = (
        None
    )
    scale: Annotated[Interval, Field(description="Least and largest share of the picture's area that is cropped.")] = (
        0.08,
        1.0,
    )
    ratio: Annotated[Interval, Field(description="Least and largest width divided by height of what is cropped.")] = (
        0.75,
        1.3333333333333333,
    )
    interpolation: Interpolation = "bilinear"
    flip: Annotated[Probability, Field(description="Probability of mirroring left and right.")] = 0.5
    policy: Annotated[PolicySpec | None, Field(description="Colours and geometry by a known policy; null: none.")] = (
        None
    )
    erasing: Annotated[
        Probability, Field(description="Probability of blanking a rectangle after normalisation (arXiv 1708.04896).")
    ] = 0.0

    def problems(self, *path: str) -> Iterator[Finding]:
        """Intervals that fall, and crops larger than the picture."""
        yield from _falling("scale", self.scale, *path)
        yield from _falling("ratio", self.ratio, *path)
        if self.scale[1] > 1:
            text = f"a crop has at most the picture's area, and `scale` reaches {self.scale[1]:g}"
            yield Finding("REG201", (*path, "scale"), text, "write at most 1")


class ZoomOutSpec(Spec):
    """The picture on a larger canvas. Source: torchvision.transforms.v2.RandomZoomOut; SSD's paper, arXiv 1512.02325."""

    probability: Annotated[Probability, Field(description="How often.")] = 0.5
    scale: Annotated[
        Interval, Field(description="Least and largest side of the canvas, in sides of the picture; 1 or more.")
    ] = (1.0, 4.0)
    fill: Annotated[Colour, Field(description="Colour of the canvas, 0 to 255 for red, green and blue.")] = (
        123,
        117,
        104,
    )


class ScaleJitterSpec(Spec):
    """The picture larger or smaller, then cropped and padded to a square. Paper: arXiv 2012.07177, large scale jittering."""

    size: Annotated[Side, Field(description="Side of the square in pixels.")] = 1024
    scale: Annotated[Interval, Field(description="Least and largest scale of the picture that fits the square.")] = (
        0.1,
        2.0,
    )
    fill: Annotated[Colour, Field(description="Colour of what is padded, 0 to 255.")] = (123, 117, 104)


class DetectionAugmentationSpec(Spec):
    """Photometric changes, scale jitter, zoom out, IoU crop and flip, in this order; boxes follow. Off but for the flip.

    Source: torchvision's detection reference: `hflip`, `lsj`, `ssd` and `ssdlite` are choices of these.
    """

    kind: Annotated[Literal["detection"], Field(description="The task whose pictures are changed.")] = "detection"
    flip: Annotated[Probability, Field(description="Probability of mirroring left and right.")] = 0.5
    photometric: Annotated[
        Probability, Field(description="Probability of each change of brightness, contrast, saturation, hue, channels.")
    ] = 0.0
    scale_jitter: Annotated[ScaleJitterSpec | None, Field(description="Scale and crop to one size; null: off.")] = None
    zoom_out: Annotated[ZoomOutSpec | None, Field(description="Onto a larger canvas; null: off.")] = None
    iou_crop: Annotated[
        bool, Field(description="Crop so that some box is covered to a drawn share (IoU 0 to 0.9, or no crop at all).")
    ] = False
    min_side: Annotated[
        float, Field(ge=0, le=1000, description="Boxes with a shorter side, in pixels of the new picture, are dropped.")
    ] = 1.0

    def problems(self, *path: str) -> Iterator[Finding]:
        """Intervals that fall, and a canvas smaller than the picture."""
        if self.zoom_out is not None:
            yield from _falling("scale", self.zoom_out.scale, *path, "zoom_out")
            if self.zoom_out.scale[0] < 1:
                text = (
                    f"the canvas is as large as the picture or larger, and `scale` begins at {self.zoom_out.scale[0]:g}"
                )
                yield Finding("REG201", (*path, "zoom_out", "scale"), text, "write at least 1")
        if self.scale_jitter is not None:
            yield from _falling("scale", self.scale_jitter.scale, *path, "scale_jitter")


class SegmentationAugmentationSpec(Spec):
    """Resize, flip and crop, in this order; masks follow. Source: torchvision's segmentation reference."""

    kind: Annotated[Literal["segmentation"], Field(description="The task whose pictures are changed.")] = "segmentation"
    resize: Annotated[
        Annotated[Listed[Side], Field(min_length=2, max_length=2)] | None,
        Field(description="Least and largest shorter side in pixels, one of which is drawn; null: keep."),
    ] = None
    flip: Annotated[Probability, Field(description="Probability of mirroring left and right.")] = 0.5
    crop: Annotated[
        Side | None, Field(description="Side of the crop in pixels, padded where need be; null: the model's size.")
    ] = None

    def problems(self, *path: str) -> Iterator[Finding]:
        """Sizes that fall."""
        if self.resize is not None:
            yield from _falling("resize", self.resize, *path)


AugmentationSpec = Annotated[
    ClassificationAugmentationSpec | DetectionAugmentationSpec | SegmentationAugmentationSpec,
    Field(discriminator="kind"),
]
