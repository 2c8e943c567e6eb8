"""Handwritten digits on photographs, with a box for each: real material that scikit-learn and scikit-image ship."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from registry.errors import MissingExtraError
from registry_demo.digits import Split

SIDE = 128
_MOST_DIGITS = 4
#: Photographs to train on, and others that only the held-out pictures show.
_TRAINING = ("astronaut", "coffee", "rocket", "grass", "gravel")
_HELD_OUT = ("chelsea", "brick")


@dataclass(frozen=True)
class Scene:
    """One picture with its digits.

    Attributes:
        picture: RGB, 128 pixels square.
        boxes: float32 (N, 4), corners x1, y1, x2, y2 in pixels.
        labels: int64 (N), digit + 1, as 0 is the background.
    """

    picture: Image.Image
    boxes: torch.Tensor
    labels: torch.Tensor

    def target(self) -> dict[str, torch.Tensor]:
        """Boxes and labels as detectors take them."""
        return {"boxes": self.boxes, "labels": self.labels}


def make_scenes(digits: Split, count: int, *, held_out: bool, seed: int) -> list[Scene]:
    """Pictures with one to four digits each, which do not overlap.

    Args:
        digits: what to write; the same split for the same side of `held_out`.
        held_out: which photographs are written on.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    photographs = _photographs(_HELD_OUT if held_out else _TRAINING)
    draw = random.Random(seed)
    return [_scene(digits, draw.choice(photographs), draw) for _ in range(count)]


def _photographs(names: tuple[str, ...]) -> list[Image.Image]:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError("the demonstration", "demo", "scikit-image") from error
    source: Any = data
    return [Image.fromarray(getattr(source, name)()).convert("RGB") for name in names]


def _scene(digits: Split, photograph: Image.Image, draw: random.Random) -> Scene:
    side = draw.randint(min(photograph.size) // 2, min(photograph.size))
    left, top = draw.randint(0, photograph.width - side), draw.randint(0, photograph.height - side)
    picture = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for _ in range(draw.randint(1, _MOST_DIGITS)):
        index = draw.randrange(len(digits))
        size = draw.randint(28, 52)
        ink = digits.picture(index).resize((size, size), Image.Resampling.BICUBIC)
        x, y = draw.randint(0, SIDE - size), draw.randint(0, SIDE - size)
        extent = ink.point([255 * (value > 60) for value in range(256)]).getbbox()
        if extent is None:
            continue
        box = (x + extent[0], y + extent[1], x + extent[2], y + extent[3])
        if any(_overlap(box, other) for other in boxes):
            continue
        picture.paste(draw.choice([(255, 255, 255), (255, 236, 120), (150, 230, 255)]), (x, y), ink)
        boxes.append(box)
        labels.append(int(digits.labels[index]) + 1)
    return Scene(
        picture,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
    )


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
