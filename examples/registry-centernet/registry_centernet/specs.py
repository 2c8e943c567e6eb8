"""Settings of the CenterNet head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from registry.specs import BackboneSpec, Finding, HeadSpec
from registry_centernet.settings import Channels, ImageSpec, LossSpec, NeckSpec


class CenterNetSpec(HeadSpec):
    """CenterNet: an object is the point at the centre of its box, with a size. Paper: Objects as Points, arXiv 1904.07850.

    `num_classes` counts the background, which is class 0 and has no heatmap.
    """

    task: ClassVar[str] = "detection"
    depends_on_image: ClassVar[bool] = True  # how many boxes come out; what is costly does not
    exportable: ClassVar[bool] = False  # takes a list of images
    splittable: ClassVar[bool] = True  # its `network` is exported, see registry_centernet.split

    type: Annotated[Literal["centernet"], Field(description="Registered type of the part.")] = "centernet"
    image: Annotated[ImageSpec, Field(description="Resizing and normalisation, inside the model.")] = ImageSpec()
    neck: Annotated[NeckSpec, Field(description="From the backbone's maps to the one that objects are found on.")] = (
        NeckSpec()
    )
    branch_channels: Annotated[
        Channels, Field(description="Channels of the 3x3 convolution before heatmap, size and offset each.")
    ] = 64
    prior: Annotated[
        float, Field(gt=0, lt=1, description="Score of every point before training, from the bias of the heatmap.")
    ] = 0.1
    loss: Annotated[LossSpec, Field(description="What training minimises.")] = LossSpec()
    score_threshold: Annotated[float, Field(ge=0, le=1, description="Least score of a detection.")] = 0.05
    detections_per_image: Annotated[
        int, Field(ge=1, le=100_000, description="Most detections of all classes together, best first.")
    ] = 100

    def image_size(self) -> tuple[int, int]:
        """The shorter side, twice."""
        return self.image.min_size, self.image.min_size

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """`size` is the shorter side; the longest allowed keeps its proportion to it."""
        if option != "size":
            return {}
        longest = round(value * self.image.max_size / self.image.min_size)
        return {"image.min_size": value, "image.max_size": longest}

    def check(self) -> Iterable[Finding]:
        """Sides that contradict each other, and the background alone."""
        if self.image.max_size < self.image.min_size:
            text = f"`max_size` {self.image.max_size} is less than `min_size` {self.image.min_size}"
            hint = f"write at least {self.image.min_size}"
            yield Finding("REG201", ("image", "max_size"), text, hint, also=(("image", "min_size"),))
        if self.num_classes < 2:
            text = "the only class is the background, so there is nothing to find"
            yield Finding("REG204", ("num_classes",), text, "write at least 2: class 0 is the background")

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """Levels that the backbone lacks, and means for other channels than it takes."""
        yield from self.image.problems(backbone.in_channels, "image")
        yield from self.neck.problems(backbone, "neck")
