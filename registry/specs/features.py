"""Feature maps: what a backbone offers to a head."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry.specs.base import Spec


class FeatureMap(Spec):
    """One output of a backbone, known without building it.

    For an input of height H and width W (pixels) the map has about H/stride rows and W/stride columns.
    """

    name: Annotated[str, Field(min_length=1, description="Level name, unique in the backbone, such as `c4`.")]
    channels: Annotated[int, Field(ge=1, description="Number of channels.")]
    stride: Annotated[int, Field(ge=1, description="Input pixels per step of the map, along each side.")]
    module: Annotated[str, Field(min_length=1, description="Path of the module inside the backbone that yields it.")]
