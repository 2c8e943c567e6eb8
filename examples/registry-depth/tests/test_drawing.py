"""The picture of depths: its colours, its scale, and its form."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from PIL import Image

from registry_depth.drawing import colours, depth_picture, draw_depth, ticks


def lightness(colour: numpy.ndarray) -> float:
    """CIE L* (0 to 100) of an sRGB colour. Sources: IEC 61966-2-1 for sRGB, CIE 15 for L*."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour / 255]
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * y ** (1 / 3) - 16 if y > (6 / 29) ** 3 else y * (29 / 3) ** 3


def test_lightness_falls_evenly_from_near_to_far() -> None:
    found = [lightness(colour) for colour in colours(numpy.linspace(0, 1, 65))]
    steps = -numpy.diff(found)
    assert found[0] > 85
    assert found[-1] < 20
    assert steps.min() > 0
    assert steps.max() < 2 * (found[0] - found[-1]) / 64


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 7.2, ["1", "2", "3", "4", "5", "6", "7"]),
        (1.0, 80.0, ["20", "40", "60", "80"]),
        (0.95, 1.05, ["0.96", "0.98", "1.00", "1.02", "1.04"]),
        (0.0, 7000.0, ["0", "1000", "2000", "3000", "4000", "5000", "6000", "7000"]),
    ],
)
def test_ticks_are_round_values(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in ticks(low, high)] == expected
    assert [value for value, _ in ticks(low, high)] == pytest.approx([float(text) for text in expected])


def test_there_are_some_ticks_and_at_most_eight() -> None:
    for low in (0.001, 0.1, 0.37, 3.3):
        for length in numpy.geomspace(1e-3, 1e4, 200):
            assert 2 <= len(ticks(low, low + length)) <= 8


def test_the_image_stands_beside_its_depths_over_a_scale() -> None:
    depth = torch.linspace(1, 5, 64).expand(48, 64)
    sheet = draw_depth(Image.new("RGB", (64, 48), (200, 30, 40)), depth)
    assert (sheet.mode, sheet.width) == ("RGB", 2 * 640 + 12)
    assert sheet.getpixel((320, 240)) == (200, 30, 40)
    near, far = (numpy.array(sheet.getpixel((x, 240))) for x in (640 + 12 + 2, 640 + 12 + 637))
    assert abs(near - [253, 231, 37]).max() < 12
    assert abs(far - [68, 1, 84]).max() < 12
    bar = [sheet.getpixel((x, 480 + 20)) for x in (36, sheet.width - 37)]
    assert bar == [(253, 231, 37), (68, 1, 84)]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (17, 9)])
def test_pictures_of_any_shape_are_drawn(size: tuple[int, int]) -> None:
    depth = torch.full((size[1], size[0]), 2.0)
    sheet = draw_depth(Image.new("RGB", size), depth)
    assert sheet.width >= 480
    assert sheet.height <= 640 + 100


@pytest.mark.parametrize("scale", [1000, 256])
def test_values_of_the_grey_picture_end_at_16_bits(scale: int) -> None:
    found = numpy.asarray(depth_picture(torch.tensor([[0.0, 2.0, 1e6]]), scale))
    assert found.dtype == numpy.uint16
    assert found.tolist() == [[0, 2 * scale, 65535]]


def test_values_of_the_grey_picture_are_rounded() -> None:
    """2000.4 and 2000.6 values at a scale of 1000 a metre."""
    assert numpy.asarray(depth_picture(torch.tensor([[2.0004, 2.0006]]), 1000)).tolist() == [[2000, 2001]]


def test_ticks_stand_below_their_depths() -> None:
    """Depths of 1 to 5 m, a tick a metre; the bar ends 36 pixels before both sides, and ticks begin 18 + 12 below 480."""
    sheet = draw_depth(Image.new("RGB", (64, 48)), torch.linspace(1, 5, 64).expand(48, 64))
    inked = [x for x in range(sheet.width) if sheet.getpixel((x, 480 + 12 + 18 + 2)) == (32, 32, 36)]
    assert inked == [36 + round((sheet.width - 2 * 36 - 1) * share / 4) for share in range(5)]


def test_a_wall_has_a_scale_too() -> None:
    assert math.isfinite(sum(value for value, _ in ticks(1.95, 2.05)))
    sheet = draw_depth(Image.new("RGB", (8, 8)), torch.full((8, 8), 2.0))
    middle = numpy.array(sheet.getpixel((640 + 12 + 320, 320)))
    assert abs(middle - [33, 145, 140]).max() <= 2
