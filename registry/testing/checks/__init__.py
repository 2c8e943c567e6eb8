"""The checks, in the order in which they run; each module holds those of one theme."""

from __future__ import annotations

from registry.testing.check import CHECKS
from registry.testing.checks import (
    building,
    datasets,
    documents,
    exporting,
    feature_maps,
    files,
    following,
    forward,
    gradients,
    imports,
    losses,
    quantization,
    results,
    settings,
    specs,
    state,
)

_ORDER = (
    imports,
    specs,
    settings,
    documents,
    feature_maps,
    forward,
    losses,
    following,
    results,
    gradients,
    state,
    building,
    exporting,
    datasets,
    quantization,
    files,
)
_NAMES = [module.__name__ for module in _ORDER]
CHECKS.sort(key=lambda check: _NAMES.index(check.function.__module__))

__all__ = ["CHECKS"]
