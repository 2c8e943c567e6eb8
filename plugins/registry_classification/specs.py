"""Settings of the classification task and of its heads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from registry.specs import Finding, HeadSpec, PictureSpec, TaskSpec


class PreprocessingSpec(PictureSpec):
    """From a picture to the model's input: resize, centre crop, scale to 0..1, normalise.

    Source: torchvision.transforms._presets.ImageClassification.
    """

    resize: Annotated[
        int | None, Field(ge=1, le=8192, description="Length of the shorter side in pixels; null: keep.")
    ] = 256
    crop: Annotated[int | None, Field(ge=1, le=8192, description="Side of the centre crop in pixels; null: none.")] = (
        224
    )


class ClassificationSpec(TaskSpec):
    """One of several classes for a whole picture."""

    type: Annotated[Literal["classification"], Field(description="Registered type of the part.")] = "classification"
    preprocessing: Annotated[PreprocessingSpec, Field(description="From a picture to the model's input.")] = (
        PreprocessingSpec()
    )
    top_k: Annotated[int, Field(ge=1, le=1000, description="How many classes a result names.")] = 5

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`top` is `top_k`; `size` the side of the crop, with the resize in the proportion it had."""
        own = self.preprocessing
        if option == "top":
            return {"top_k": value}
        if option == "size" and own.crop is not None:
            resize = {} if own.resize is None else {"preprocessing.resize": round(value * own.resize / own.crop)}
            return {"preprocessing.crop": value, **resize}
        return {}

    def image_size(self) -> tuple[int, int] | None:
        """The side of the crop, twice."""
        crop = self.preprocessing.crop
        return None if crop is None else (crop, crop)

    def check(self) -> Iterable[Finding]:
        """Mean and deviation that do not fit each other or pictures."""
        return self.preprocessing.problems("preprocessing")


class MobileNetV3ClassifierSpec(HeadSpec):
    """Pooling and two linear layers with hardswish between. Paper: section 5.1; torchvision: `MobileNetV3.classifier`."""

    type: Annotated[Literal["mobilenet_v3_classifier"], Field(description="Registered type of the part.")] = (
        "mobilenet_v3_classifier"
    )
    task: ClassVar[str] = "classification"

    hidden_channels: Annotated[
        int,
        Field(ge=1, le=65536, description="Width of the hidden layer at width multiplier 1; scales with the backbone."),
    ] = 1280
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a hidden value in training.")] = (
        0.2
    )
