"""From a picture to a model's input, as tasks set it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs.base import Listed, Spec
from registry.specs.findings import Finding

#: What is subtracted from pixels, or from values of any other unit.
Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
#: What divides them; the least that keeps every quotient finite.
Deviation = Annotated[float, Field(ge=1e-6, le=1e6)]
Means = Annotated[Listed[Mean], Field(min_length=1, max_length=4096)]
Deviations = Annotated[Listed[Deviation], Field(min_length=1, max_length=4096)]


class PictureSpec(Spec):
    """Resize, scale to 0..1, normalise. The defaults of `mean` and `std` are those of most published weights."""

    resize: Annotated[
        int | None, Field(ge=1, le=8192, description="Length of the shorter side in pixels; null: keep.")
    ] = None
    interpolation: Annotated[
        Literal["bilinear", "bicubic", "nearest"], Field(description="How pixels are resampled.")
    ] = "bilinear"
    antialias: Annotated[bool, Field(description="Smooth before shrinking.")] = True
    mean: Annotated[Means, Field(description="Subtracted from each channel, in units of 0..1; one value: grey.")] = (
        0.485,
        0.456,
        0.406,
    )
    std: Annotated[Deviations, Field(description="Divides each channel, in units of 0..1.")] = (0.229, 0.224, 0.225)

    def problems(self, *path: str) -> Iterator[Finding]:
        """Mean and deviation must pair up.

        Args:
            path: keys that lead from the reporting part to these settings.
        """
        if len(self.mean) != len(self.std):
            yield Finding(
                "REG201",
                (*path, "std"),
                f"`mean` has {len(self.mean)} values and `std` {len(self.std)}",
                "give one of each for every channel",
            )
        elif len(self.mean) not in (1, 3):
            yield Finding(
                "REG201",
                (*path, "mean"),
                f"pictures have 1 or 3 channels, not {len(self.mean)}",
                "give 1 value for grey or 3 for RGB; a model of more channels is fed tensors",
            )
