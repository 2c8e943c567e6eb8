"""Where a backbone is cut for heads that also use maps inside blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from registry.specs import BackboneSpec, FeatureMap, Finding


def order_of(feature: FeatureMap, backbone: BackboneSpec) -> tuple[int, int]:
    """A map's place in the order of the layers: the layer that yields it, and 0 for one inside the layer, 1 for its end."""
    layers = [m.module for m in backbone.feature_maps()]
    if feature.module in layers:
        return layers.index(feature.module), 1
    return next(i for i, layer in enumerate(layers) if feature.module.startswith(f"{layer}.")), 0


def check_levels(levels: Sequence[int | str], backbone: BackboneSpec) -> Iterator[Finding]:
    """Levels that the backbone does not yield, or not in that order."""
    found = [backbone.find_map(level) for level in levels]
    offered = (*backbone.feature_maps(), *backbone.inner_maps())
    known = ", ".join(f"`{m.name}` (stride {m.stride})" for m in offered)
    for index, (level, feature) in enumerate(zip(levels, found, strict=True)):
        if feature is None:
            text = f"the backbone has no map of stride {level}" if isinstance(level, int) else f"no map `{level}`"
            yield Finding("REG202", ("levels", index), text, f"choose from {known}")
    places = [order_of(feature, backbone) for feature in found if feature is not None]
    for index, (before, after) in enumerate(itertools.pairwise(places), start=1):
        if len(places) == len(levels) and after <= before:
            text = f"level {levels[index]} does not lie after {levels[index - 1]} in the backbone"
            yield Finding("REG202", ("levels", index), text, f"write finer levels first: {known}")
