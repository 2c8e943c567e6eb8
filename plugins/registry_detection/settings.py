"""Settings that several detection heads share: the image transform, the feature pyramid, anchors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs import BackboneSpec, FeatureMap, Finding, HeadNormSpec, Listed, Spec, group_findings
from registry.specs.picture import Deviations, Means

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Side = Annotated[int, Field(ge=1, le=16384)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=100_000)]
#: Pixels of a side from which rounding leaves something; a little more than 1, as torchvision computes in single precision.
_LEAST_SIDE = 1 + 1e-6
Ratio = Annotated[float, Field(ge=0.001, le=1000)]


class NormalizationSpec(Spec):
    """What the model subtracts from and divides its images by, which come in 0 to 1."""

    mean: Annotated[
        Means | None, Field(description="Per channel; null: ImageNet's for three channels, else their average.")
    ] = None
    std: Annotated[Deviations | None, Field(description="Per channel, as `mean`.")] = None

    def per_channel(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and deviation for each of `channels` channels; a single value stands for every channel."""
        return _spread(self.mean, _MEAN, channels), _spread(self.std, _STD, channels)

    def problems(self, channels: int, *path: str) -> Iterator[Finding]:
        """Lists whose length is neither 1 nor the channel count."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in (1, channels):
                text = f"`{name}` has {len(values)} values and images have {channels} channels"
                yield Finding("REG201", (*path, name), text, "give one value, or one for each channel")


def _spread(values: tuple[float, ...] | None, usual: tuple[float, ...], channels: int) -> list[float]:
    if values is None:
        values = usual if channels == len(usual) else (sum(usual) / len(usual),)
    return list(values) if len(values) == channels else [values[0]] * channels


class ImageSpec(NormalizationSpec):
    """How images are resized inside the model: the shorter side to `min_size`, unless the longer would pass `max_size`.

    Source: torchvision.models.detection.transform.GeneralizedRCNNTransform.
    """

    min_size: Annotated[
        Side | Annotated[Listed[Side], Field(min_length=1, max_length=64)],
        Field(description="Shorter side in pixels; of a list, training draws one and testing takes the last."),
    ] = 800
    max_size: Annotated[Side, Field(description="Most pixels of the longer side.")] = 1333
    size_divisible: Annotated[
        int, Field(ge=1, le=1024, description="Batches are padded to a multiple of this, in pixels.")
    ] = 32

    def shortest(self) -> int:
        """The shorter side in testing, in pixels."""
        return self.min_size if isinstance(self.min_size, int) else self.min_size[-1]


class FixedImageSpec(NormalizationSpec):
    """Images are stretched to one size inside the model."""

    size: Annotated[Listed[Side], Field(min_length=2, max_length=2, description="Height and width in pixels.")] = (
        320,
        320,
    )


class PyramidSpec(Spec):
    """A feature pyramid network over some levels of the backbone. Paper: arXiv 1612.03144; torchvision.ops."""

    levels: Annotated[
        Listed[int | str],
        Field(min_length=1, max_length=16, description="Names or strides of the backbone's maps, finest first."),
    ]
    out_channels: Annotated[int, Field(ge=1, le=8192, description="Channels of every level.")] = 256
    extra: Annotated[
        Literal["max_pool", "p6p7"] | None,
        Field(description="Coarser levels on top: one by subsampling, or two by convolutions of stride 2."),
    ] = "max_pool"
    norm: Annotated[HeadNormSpec | None, Field(description="Normalisation after each convolution; null: none.")] = None

    def count(self) -> int:
        """How many levels it yields."""
        return len(self.levels) + {"max_pool": 1, "p6p7": 2, None: 0}[self.extra]

    def maps(self, backbone: BackboneSpec) -> tuple[FeatureMap, ...]:
        """The backbone's maps that it stands on; its problems must have been looked at."""
        found = (backbone.find_map(level) for level in self.levels)
        return tuple(feature for feature in found if feature is not None)

    def problems(self, backbone: BackboneSpec, *path: str) -> Iterator[Finding]:
        """Levels that the backbone does not yield, or not in that order, and groups that do not divide the channels."""
        yield from group_findings(self.norm, [self.out_channels], *path, "norm")
        offered = backbone.feature_maps()
        known = ", ".join(f"`{m.name}` (stride {m.stride})" for m in offered)
        missing = [(i, level) for i, level in enumerate(self.levels) if backbone.find_map(level) not in offered]
        for index, level in missing:
            text = f"the backbone has no map of stride {level}" if isinstance(level, int) else f"no map `{level}`"
            yield Finding("REG202", (*path, "levels", index), text, f"choose from {known}")
        if missing:
            return
        places = [offered.index(m) for m in self.maps(backbone)]
        for index, (before, after) in enumerate(itertools.pairwise(places), start=1):
            if after <= before:
                text = f"level {self.levels[index]} does not lie after {self.levels[index - 1]} in the backbone"
                yield Finding("REG202", (*path, "levels", index), text, f"write finer levels first: {known}")

    def pooling_problems(self, backbone: BackboneSpec, *path: str) -> Iterator[Finding]:
        """Levels that boxes are pooled from badly: where strides do not double from level to level.

        Boxes find their level by size, counting powers of two from the first level's stride to the last's
        (torchvision.ops.poolers). Equal strides leave levels unused; a gap leaves boxes without features.
        """
        maps = self.maps(backbone)
        for index, (before, after) in enumerate(itertools.pairwise(maps), start=1):
            if after.stride == before.stride:
                text = f"levels `{before.name}` and `{after.name}` both have stride {after.stride}"
                unused = "boxes are pooled from one level fewer; the others serve proposals and the way down only"
                yield Finding("REG207", (*path, "levels", index), f"{text}, so {unused}", None, "warning")
            elif after.stride != 2 * before.stride:
                text = f"stride {after.stride} of level `{after.name}` is not twice stride {before.stride} before it"
                hint = "boxes of sizes between would be pooled from no level; add the level between"
                yield Finding("REG202", (*path, "levels", index), text, hint)


class AnchorsSpec(Spec):
    """Reference boxes at every step of every level: each size with each ratio."""

    sizes: Annotated[
        Listed[Annotated[Listed[Annotated[int, Field(ge=1, le=65536)]], Field(min_length=1, max_length=64)]],
        Field(min_length=1, max_length=32, description="Sides in pixels of the resized image, a list for each level."),
    ]
    ratios: Annotated[
        Listed[Ratio],
        Field(min_length=1, max_length=64, description="Height divided by width, the same on each level."),
    ] = (0.5, 1.0, 2.0)

    def problems(self, levels: int, *path: str) -> Iterator[Finding]:
        """As many lists as levels, all of one length, as one predictor serves every level, and no box of no area."""
        if len(self.sizes) != levels:
            text = f"there are {len(self.sizes)} lists of sizes and {levels} levels"
            yield Finding("REG201", (*path, "sizes"), text, "give one list for each level, the extra ones included")
        for index, sizes in enumerate(self.sizes):
            if len(sizes) != len(self.sizes[0]):
                text = f"{len(sizes)} sizes on this level and {len(self.sizes[0])} on the first"
                yield Finding("REG201", (*path, "sizes", index), text, "give every level as many sizes")
        yield from self._empty_boxes(*path)

    def _empty_boxes(self, *path: str) -> Iterator[Finding]:
        """Sizes whose narrowest box vanishes: half of each side is rounded, a half to the even number, which is 0.

        Source: torchvision.models.detection.anchor_utils.AnchorGenerator.generate_anchors.
        """
        ratio = max(self.ratios, key=lambda ratio: max(ratio, 1 / ratio))
        narrow, name = math.sqrt(min(ratio, 1 / ratio)), "width" if ratio > 1 else "height"
        for level, sizes in enumerate(self.sizes):
            for index, size in enumerate(sizes):
                if size * narrow <= _LEAST_SIDE:
                    box = f"a box of size {size} and ratio {ratio:g}"
                    text = f"{box} has a {name} of {size * narrow:.3g} pixels, which rounds to 0"
                    least = math.floor(_LEAST_SIDE / narrow) + 1
                    yield Finding(
                        "REG201", (*path, "sizes", level, index), text, f"write at least {least} for this ratio"
                    )
