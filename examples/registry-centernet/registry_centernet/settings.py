"""Settings of the parts of a CenterNet: image, neck, branches and losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs import BackboneSpec, BatchNormSpec, FeatureMap, Finding, HeadNormSpec, Listed, Spec, group_findings
from registry.specs.picture import Deviations, Means

Side = Annotated[int, Field(ge=1, le=16384)]
Channels = Annotated[int, Field(ge=1, le=8192)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Exponent = Annotated[float, Field(ge=0, le=16)]
#: From this stride on, objects side by side share a point of the map.
_COARSE = 8


class ImageSpec(Spec):
    """How images, which come in 0 to 1, are resized and normalised inside the model: the shorter side to `min_size`, unless
    the longer one would pass `max_size`. Source: torchvision.models.detection.transform.GeneralizedRCNNTransform.
    """

    min_size: Annotated[Side, Field(description="Shorter side in pixels.")] = 512
    max_size: Annotated[Side, Field(description="Most pixels of the longer side.")] = 864
    size_divisible: Annotated[
        int, Field(ge=1, le=1024, description="Batches are padded to a multiple of this, in pixels.")
    ] = 32
    mean: Annotated[
        Means, Field(description="Subtracted from each channel, in units of 0..1; one value: for every channel.")
    ] = (0.485, 0.456, 0.406)
    std: Annotated[Deviations, Field(description="Divides each channel, in units of 0..1, as `mean`.")] = (
        0.229,
        0.224,
        0.225,
    )

    def per_channel(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and deviation for each of `channels` channels."""
        mean, std = ([*v] if len(v) == channels else [v[0]] * channels for v in (self.mean, self.std))
        return mean, std

    def problems(self, channels: int, *path: str) -> Iterator[Finding]:
        """Lists whose length is neither 1 nor the channel count."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                text = f"`{name}` has {len(values)} values and images have {channels} channels"
                yield Finding("REG201", (*path, name), text, "give one value, or one for each channel")


class NeckSpec(Spec):
    """The way up: each map through a 1x1 convolution to `channels`, then from the coarsest to the finest enlarged, added and
    smoothed by a 3x3 convolution.

    The paper (section 5) enlarges the last map alone by deconvolutions; sums with finer maps are those of a feature pyramid
    (arXiv 1612.03144).
    """

    levels: Annotated[
        Listed[int | str],
        Field(
            min_length=1,
            max_length=16,
            description="Names or strides of the backbone's maps, finest first; objects are found on the first.",
        ),
    ] = (4, 8, 16, 32)
    channels: Annotated[Channels, Field(description="Channels of every level and of the map it yields.")] = 64
    upsampling: Annotated[Literal["nearest", "bilinear"], Field(description="How a map is enlarged.")] = "bilinear"
    norm: Annotated[HeadNormSpec, Field(description="Normalisation after each convolution.")] = BatchNormSpec()

    def maps(self, backbone: BackboneSpec) -> tuple[FeatureMap, ...]:
        """The backbone's maps it stands on, finest first; its problems must have been looked at."""
        found = (backbone.find_map(level) for level in self.levels)
        return tuple(feature for feature in found if feature is not None)

    def problems(self, backbone: BackboneSpec, *path: str) -> Iterator[Finding]:
        """Levels that the backbone does not yield, or not in that order; groups that do not divide the channels; a first
        level so coarse that objects side by side are one (CEN001, a warning).
        """
        yield from group_findings(self.norm, [self.channels], *path, "norm")
        offered = backbone.feature_maps()
        known = ", ".join(f"`{m.name}` (stride {m.stride})" for m in offered)
        missing = [(i, level) for i, level in enumerate(self.levels) if backbone.find_map(level) not in offered]
        for index, level in missing:
            text = f"the backbone has no map of stride {level}" if isinstance(level, int) else f"no map `{level}`"
            yield Finding("REG202", (*path, "levels", index), text, f"choose from {known}")
        if missing:
            return
        maps = self.maps(backbone)
        places = [offered.index(m) for m in maps]
        for index, (before, after) in enumerate(itertools.pairwise(places), start=1):
            if after <= before:
                text = f"level {self.levels[index]} does not lie after {self.levels[index - 1]} in the backbone"
                yield Finding("REG202", (*path, "levels", index), text, f"write finer levels first: {known}")
        if maps[0].stride > _COARSE:
            text = f"objects are found on a map of stride {maps[0].stride}, where centres that are closer share a point"
            hint = f"begin with a level of stride {_COARSE} or less: {known}"
            yield Finding("CEN001", (*path, "levels", 0), text, hint, "warning")


class LossSpec(Spec):
    """What training minimises. Paper: section 3, equations 1 to 4; the overlap is that of CornerNet (arXiv 1808.01244)."""

    alpha: Annotated[Exponent, Field(description="Exponent that lessens points which are right already.")] = 2.0
    beta: Annotated[Exponent, Field(description="Exponent that lessens points near a centre.")] = 4.0
    heatmap: Annotated[Weight, Field(description="Weight of the focal loss.")] = 1.0
    size: Annotated[Weight, Field(description="Weight of the difference in size.")] = 0.1
    offset: Annotated[Weight, Field(description="Weight of the difference in the centre's fraction.")] = 1.0
    min_overlap: Annotated[
        float,
        Field(gt=0, lt=1, description="Overlap (IoU) that boxes whose corners are off by the Gaussian's radius keep."),
    ] = 0.3
