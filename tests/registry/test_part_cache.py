"""Parts that were read before are read once for each class or kind, and errors each time."""

from __future__ import annotations

from typing import Literal

import pytest

from registry.specs import BackboneSpec, PartSpec
from registry.specs.part_cache import PartCache


class Small(BackboneSpec):
    type: Literal["small"] = "small"


class Large(BackboneSpec):
    type: Literal["small", "large"] = "large"


def test_equal_data_is_read_once_for_each_class() -> None:
    cache, data = PartCache(), {"type": "small", "in_channels": 1}

    def read(spec_class: type[PartSpec]) -> PartSpec:
        return cache.part(spec_class, dict(data), lambda: spec_class.model_validate(data))

    small, large = read(Small), read(Large)
    assert (type(small), type(large)) == (Small, Large)
    assert read(Small) is small
    assert read(Large) is large


def test_what_is_refused_is_refused_again() -> None:
    cache = PartCache()
    for _ in range(2):
        with pytest.raises(ValueError, match="in_channels"):
            cache.part(Small, {"in_channels": 0}, lambda: Small.model_validate({"in_channels": 0}))
    assert cache.part(Small, {"in_channels": 1}, lambda: Small(in_channels=1)) == Small(in_channels=1)
