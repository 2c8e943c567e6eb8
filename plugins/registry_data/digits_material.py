"""Real material that packages ship: scikit-learn's handwritten digits, and scikit-image's photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy
from PIL import Image

from registry.errors import MissingExtraError
from registry_data.holding_out import held_out

#: Photographs to train on, and others that only the pictures to validate on show. All are free of rights or CC0.
PHOTOGRAPHS: Final = {
    "train": ("astronaut", "coffee", "rocket", "grass", "gravel"),
    "validation": ("chelsea", "brick"),
}
#: Share of the 1,797 digits that only the pictures to validate on show.
_HELD_OUT: Final = 0.25


@dataclass(frozen=True)
class Material:
    """What the pictures of one split are made of.

    Attributes:
        ink: uint8 (N, 8, 8), 0 for paper to 255 for ink: UCI's digits, Alpaydin and Kaynak, 1998.
        labels: the digit of each, 0 to 9.
        photographs: RGB.
    """

    ink: numpy.ndarray[Any, Any]
    labels: tuple[int, ...]
    photographs: tuple[Image.Image, ...]


def material(split: str) -> Material:
    """Digits and photographs of a split, `train` or `validation`; no split shows those of another.

    Raises:
        MissingExtraError: scikit-learn or scikit-image is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("making the digits", "demo", "scikit-learn") from error
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError("making the digits", "demo", "scikit-image") from error
    digits: Any = load_digits()
    out = held_out([str(index) for index in range(len(digits.target))], _HELD_OUT, 0, [int(d) for d in digits.target])
    chosen = [index for index, held in enumerate(out) if held == (split == "validation")]
    source: Any = data
    photographs = tuple(Image.fromarray(getattr(source, name)()).convert("RGB") for name in PHOTOGRAPHS[split])
    ink = numpy.rint(digits.images[chosen] / 16 * 255).astype(numpy.uint8)
    return Material(ink, tuple(int(digits.target[index]) for index in chosen), photographs)
