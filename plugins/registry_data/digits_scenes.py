"""Handwritten digits pasted onto photographs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy
from PIL import Image

from registry_data.digits_material import Material
from registry_data.digits_specs import DigitsSpec

#: Ink that is darker than this, 0 to 255, is paper.
_INK: Final = 60
#: Tries to find a free place for a digit after the first.
_TRIES: Final = 20
_BRIGHT: Final = ((255, 255, 255), (255, 236, 120), (150, 230, 255))
_DARK: Final = ((0, 0, 0), (70, 0, 60), (0, 20, 90))
_Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True)
class Written:
    """A digit in a picture: which, and its pixels, bool (side, side)."""

    digit: int
    mask: _Array

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest box around the ink: x, y, width, height in pixels."""
        rows, columns = (numpy.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


@dataclass(frozen=True)
class Scene:
    """One picture, RGB, `spec.side` pixels square, and its digits, at least one, whose boxes do not overlap."""

    picture: Image.Image
    digits: tuple[Written, ...]


def make_scene(spec: DigitsSpec, split: str, index: int, source: Material) -> Scene:
    """Picture `index` of a split; the same settings give the same picture, whatever others there are.

    The first digits of the pictures take turns, 0 to 9, through all that there are.
    """
    chance = random.Random(f"{spec.seed}/{split}/{index}")
    order = _order(source.labels, random.Random(f"{spec.seed}/{split}"))
    bright = chance.random() < 0.5
    picture = _background(chance.choice(source.photographs), spec.side, bright, chance)
    chosen = [order[index % len(order)]]
    chosen += [chance.randrange(len(order)) for _ in range(chance.randint(1, spec.most_digits) - 1)]
    found: list[Written] = []
    for number in chosen:
        written = _place(spec, source, number, found, chance)
        if written is not None:
            mask, alpha = written
            ink = chance.choice(_DARK if bright else _BRIGHT)
            picture.paste(ink, (0, 0, *picture.size), Image.fromarray(alpha))
            found.append(Written(source.labels[number], mask))
    return Scene(picture, tuple(found))


def _order(labels: Sequence[int], chance: random.Random) -> list[int]:
    """All indices in random order, and so that one label follows the other."""
    order = list(range(len(labels)))
    chance.shuffle(order)
    seen: Counter[int] = Counter()
    turn = {}
    for index in order:
        turn[index] = seen[labels[index]]
        seen[labels[index]] += 1
    return sorted(order, key=lambda index: (turn[index], labels[index]))


def _background(photograph: Image.Image, side: int, bright: bool, chance: random.Random) -> Image.Image:
    """A square of the photograph, a third of its shorter side or more, made half as strong on white or black.

    So every ink can be told from it: dark on bright, or bright on dark.
    """
    extent = chance.randint(min(photograph.size) // 3, min(photograph.size))
    left, top = chance.randint(0, photograph.width - extent), chance.randint(0, photograph.height - extent)
    square = photograph.crop((left, top, left + extent, top + extent))
    small = square.resize((side, side), Image.Resampling.BILINEAR)
    return Image.blend(Image.new("RGB", small.size, "white" if bright else "black"), small, 0.5)


def _place(
    spec: DigitsSpec, source: Material, number: int, others: list[Written], chance: random.Random
) -> tuple[_Array, _Array] | None:
    """Where the ink of a digit is, bool (side, side), and how much of it, uint8; None where no place is free."""
    for _ in range(_TRIES):
        size = max(8, round(chance.uniform(spec.smallest, spec.largest) * spec.side))
        ink = Image.fromarray(source.ink[number]).resize((size, size), Image.Resampling.BICUBIC)
        x, y = chance.randint(0, spec.side - size), chance.randint(0, spec.side - size)
        alpha = numpy.zeros((spec.side, spec.side), dtype=numpy.uint8)
        alpha[y : y + size, x : x + size] = numpy.asarray(ink)
        mask = alpha > _INK
        box = Written(0, mask).box
        if not any(_overlap(box, other.box) for other in others):
            return mask, alpha
    return None


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    (x1, y1, w1, h1), (x2, y2, w2, h2) = one, other
    return x1 < x2 + w2 and x2 < x1 + w1 and y1 < y2 + h2 and y2 < y1 + h1
