"""Layers told by their weights.

Folding a batch norm multiplies each output channel of a layer by a number, so that it is known by the directions of
its channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: How far channels of one direction may be apart, as a share of their length: folding rounds to float32.
_APART = 1e-4

Weight = NDArray[np.float32]


def rows(weight: Weight) -> Weight:
    """Weights as one row for each output channel."""
    return weight.reshape(weight.shape[0], -1)


def layers_with(weight: Weight, known: Mapping[str, Weight]) -> list[str]:
    """Names of the layers whose rows these are: exactly, or else times a number each."""
    alike = {name: each for name, each in known.items() if each.shape == weight.shape}
    exact = [name for name, each in alike.items() if np.array_equal(each, weight)]
    return exact or [name for name, each in alike.items() if _same_directions(weight, each)]


def _same_directions(weight: Weight, other: Weight) -> bool:
    wide, own = weight.astype(np.float64), other.astype(np.float64)
    factor = (wide * own).sum(1) / np.maximum((own * own).sum(1), np.finfo(np.float64).tiny)
    apart = np.linalg.norm(wide - factor[:, None] * own, axis=1)
    return bool((apart <= _APART * np.linalg.norm(wide, axis=1)).all())
