"""Settings of the depth task, of its head and of its data set. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    DatasetSpec,
    FeatureMap,
    Finding,
    HeadNormSpec,
    HeadSpec,
    PictureSpec,
    TaskSpec,
    group_findings,
)

Metres = Annotated[float, Field(ge=1e-3, le=10_000)]
#: Values of a 16-bit picture per metre: 1000 for millimetres, 256 as KITTI has it.
Scale = Annotated[float, Field(ge=1, le=65_535)]

_LARGEST_VALUE = 65_535


def _no_names(value: Any) -> Any:
    if value is not None:
        raise PydanticCustomError("depth_categories", "a depth has no classes to name; write null")
    return value


class PreprocessingSpec(PictureSpec):
    """From a picture to the model's input: resize, scale to 0..1, normalise."""

    resize: Annotated[
        int | None, Field(ge=1, le=8192, description="Length of the shorter side in pixels; null: keep.")
    ] = 256


class DepthSpec(TaskSpec):
    """The distance of every pixel's surface from the camera's plane, in metres."""

    type: Annotated[Literal["depth"], Field(description="Registered type of the part.")] = "depth"
    categories: Annotated[
        None, BeforeValidator(_no_names), Field(description="A depth has no classes, and no names of them; null.")
    ] = None
    preprocessing: Annotated[PreprocessingSpec, Field(description="From a picture to the model's input.")] = (
        PreprocessingSpec()
    )
    min_depth: Annotated[Metres, Field(description="Least true depth that counts, in metres.")] = 0.1
    max_depth: Annotated[Metres, Field(description="Largest true depth that counts, in metres.")] = 10.0
    variance_focus: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="How little the loss minds a wrong scale of the whole picture: 0 as much as any error, 1 not at all.",
        ),
    ] = 0.5
    png_scale: Annotated[Scale, Field(description="Values per metre in the 16-bit picture that prediction writes.")] = (
        1000.0
    )

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`size` is the shorter side."""
        return {"preprocessing.resize": value} if option == "size" else {}

    def image_size(self) -> tuple[int, int] | None:
        """The shorter side, twice."""
        side = self.preprocessing.resize
        return None if side is None else (side, side)

    def check(self) -> Iterable[Finding]:
        """Mean and deviation that do not fit, an empty range, and depths that 16 bits do not hold."""
        yield from self.preprocessing.problems("preprocessing")
        yield from _range_findings(self.min_depth, self.max_depth)
        if self.max_depth * self.png_scale > _LARGEST_VALUE:
            text = (
                f"{self.max_depth:g} m at {self.png_scale:g} values a metre do not fit 16 bits, "
                f"which end at {_LARGEST_VALUE}"
            )
            most = int(_LARGEST_VALUE / self.max_depth)
            yield Finding(
                "REG201", ("png_scale",), text, f"write a `png_scale` of at most {most}", also=(("max_depth",),)
            )


class DepthDecoderSpec(HeadSpec):
    """From the last map to the finest wanted one: upsampled, added to what the backbone saw there, and smoothed.

    Lateral 1x1 convolutions and additions as in feature pyramids (arXiv 1612.03144, section 3); depthwise separable
    convolutions (arXiv 1704.04861, section 3.1) smooth each sum.
    """

    task: ClassVar[str] = "depth"
    tells_classes: ClassVar[bool] = False

    type: Annotated[Literal["depth_decoder"], Field(description="Registered type of the part.")] = "depth_decoder"
    num_classes: Annotated[Literal[1], Field(description="A depth has no classes; 1.")] = 1
    stride: Annotated[int, Field(ge=1, le=64, description="Input pixels per step of the finest map that is used.")] = 4
    channels: Annotated[int, Field(ge=1, le=2048, description="Channels of the decoder.")] = 64
    min_depth: Annotated[Metres, Field(description="Depth that the model never falls below, in metres.")] = 0.1
    max_depth: Annotated[Metres, Field(description="Depth that the model never exceeds, in metres.")] = 10.0
    norm: Annotated[HeadNormSpec, Field(description="Normalisation after each convolution of the head.")] = (
        BatchNormSpec()
    )

    def check(self) -> Iterable[Finding]:
        """An empty range, and groups that do not divide the channels."""
        yield from _range_findings(self.min_depth, self.max_depth)
        yield from group_findings(self.norm, [self.channels], "norm")

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """A map of the finest stride that the head uses."""
        strides = sorted({feature.stride for feature in backbone.feature_maps()})
        if self.stride not in strides:
            known = ", ".join(map(str, strides))
            text = f"the backbone has no map of stride {self.stride}"
            yield Finding("REG202", ("stride",), text, f"choose from its strides {known}")

    def check_task(self, task: TaskSpec) -> Iterable[Finding]:
        """True depths that count and that the model can never say."""
        if not isinstance(task, DepthSpec):
            return
        for key, reached in (
            ("min_depth", self.min_depth <= task.min_depth),
            ("max_depth", self.max_depth >= task.max_depth),
        ):
            if not reached:
                said, counted = getattr(self, key), getattr(task, key)
                text = f"depths to {counted:g} m count in the task, and the head's end at {said:g} m"
                hint = f"write head.{key}: {counted:g}, or task.{key}: {said:g}"
                yield Finding("DEP101", ("head", key), text, hint, "warning", also=(("task", key),))


class DepthPairsSpec(DatasetSpec):
    """Pictures and depths in folders: `FOLDER/SPLIT/images/NAME.jpg` (or .png) with `FOLDER/SPLIT/depth/NAME.png`.

    Depths are 16-bit grey PNGs; 0 stands where none is known. SPLIT is `train` or `validation`.
    """

    task: ClassVar[str] = "depth"

    type: Annotated[Literal["depth_pairs"], Field(description="Registered type of the part.")] = "depth_pairs"
    folder: Annotated[str, Field(min_length=1, max_length=4096, description="Folder that holds the splits.")]
    scale: Annotated[Scale, Field(description="Values of the depth pictures per metre.")] = 1000.0


def decoder_maps(spec: DepthDecoderSpec, backbone: BackboneSpec) -> tuple[FeatureMap, ...]:
    """The maps that the head uses, from the finest to the last: the backbone's last of each stride."""
    last = {feature.stride: feature for feature in backbone.feature_maps()}
    return tuple(last[stride] for stride in sorted(last) if stride >= spec.stride)


def _range_findings(low: float, high: float) -> Iterator[Finding]:
    if low >= high:
        text = f"`min_depth` {low:g} is not below `max_depth` {high:g}"
        yield Finding("REG201", ("min_depth",), text, f"write less than {high:g}", also=(("max_depth",),))
