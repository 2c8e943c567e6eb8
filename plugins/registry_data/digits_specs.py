"""Settings of the digits, which need no download. Nothing here imports torch or Pillow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry.specs import DatasetSpec, Finding
from registry_data.names import BACKGROUND, DIGITS

_Type = Field(description="Registered type of the part.")
_Share = Annotated[float, Field(ge=0.1, le=1)]


class DigitsSpec(DatasetSpec):
    """Handwritten digits on photographs, written once as a folder in COCO's format. Everything but the task is shared."""

    root: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4096,
            description="Folder to write to and read from; null: one in the cache folder.",
        ),
    ] = None
    training_images: Annotated[int, Field(ge=1, le=100_000, description="Pictures to train on.")] = 480
    validation_images: Annotated[int, Field(ge=1, le=100_000, description="Pictures to validate on.")] = 120
    side: Annotated[int, Field(ge=32, le=1024, description="Width and height of a picture in pixels.")] = 128
    most_digits: Annotated[int, Field(ge=1, le=16, description="Most digits in one picture; each has one or more.")] = 4
    smallest: Annotated[_Share, Field(description="Side of the smallest digit as a share of the picture's.")] = 0.22
    largest: Annotated[_Share, Field(description="Side of the largest digit as a share of the picture's.")] = 0.4
    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="Other seeds make other pictures.")] = 0

    def check(self) -> Iterable[Finding]:
        """Sizes the wrong way round."""
        if self.smallest > self.largest:
            text = f"the smallest digit, {self.smallest:g}, is larger than the largest, {self.largest:g}"
            yield Finding("REG201", ("smallest",), text, "exchange them", also=(("largest",),))

    def class_names(self) -> tuple[str, ...] | None:
        """The background, label 0, before the digits."""
        return (BACKGROUND, *DIGITS)


class DigitsClassificationSpec(DigitsSpec):
    """One digit in each picture; the label says which."""

    type: Annotated[Literal["digits_classification"], _Type] = "digits_classification"
    task: ClassVar[str] = "classification"

    training_images: Annotated[int, Field(ge=1, le=100_000, description="Pictures to train on.")] = 1344
    validation_images: Annotated[int, Field(ge=1, le=100_000, description="Pictures to validate on.")] = 448
    side: Annotated[int, Field(ge=32, le=1024, description="Width and height of a picture in pixels.")] = 64
    most_digits: Annotated[int, Field(ge=1, le=1, description="One digit in each picture.")] = 1
    smallest: Annotated[_Share, Field(description="Side of the smallest digit as a share of the picture's.")] = 0.7
    largest: Annotated[_Share, Field(description="Side of the largest digit as a share of the picture's.")] = 1.0

    def class_names(self) -> tuple[str, ...] | None:
        """The digits."""
        return DIGITS


class DigitsDetectionSpec(DigitsSpec):
    """A box around each digit."""

    type: Annotated[Literal["digits_detection"], _Type] = "digits_detection"
    task: ClassVar[str] = "detection"


class DigitsSegmentationSpec(DigitsSpec):
    """A mask of the ink of each digit, large enough for maps of stride 8."""

    type: Annotated[Literal["digits_segmentation"], _Type] = "digits_segmentation"
    task: ClassVar[str] = "segmentation"

    most_digits: Annotated[int, Field(ge=1, le=16, description="Most digits in one picture; each has one or more.")] = 2
    smallest: Annotated[_Share, Field(description="Side of the smallest digit as a share of the picture's.")] = 0.45
    largest: Annotated[_Share, Field(description="Side of the largest digit as a share of the picture's.")] = 0.7
