"""Pictures of depths: colours with a scale in metres, and 16-bit grey."""

from __future__ import annotations

import math

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

#: From near to far, lighter to darker: five colours of matplotlib's viridis (CC0), whose lightness changes evenly.
_RAMP = ((253, 231, 37), (94, 201, 98), (33, 145, 140), (59, 82, 139), (68, 1, 84))
_SIDE, _LEAST_WIDTH = 640, 480
_MARGIN, _GAP, _BAR, _TICK = 12, 12, 18, 6
_INK, _PAPER = (32, 32, 36), (250, 250, 248)
_FONT_SIZE = 16
_MOST_TICKS = 8


def colours(share: NDArray[numpy.floating]) -> NDArray[numpy.uint8]:
    """Colours (..., 3) of shares 0 (near, light) to 1 (far, dark), interpolated between those of the ramp."""
    stops = numpy.linspace(0, 1, len(_RAMP))
    channels = [numpy.interp(share, stops, [colour[index] for colour in _RAMP]) for index in range(3)]
    mixed: NDArray[numpy.uint8] = numpy.stack(channels, axis=-1).round().astype(numpy.uint8)
    return mixed


def depth_picture(depth: torch.Tensor, scale: float) -> Image.Image:
    """Depths (H, W) in metres as 16-bit grey, `scale` values a metre; what is beyond the last value has the last value."""
    values = (depth.double() * scale).round().clamp(0, 65_535)
    return Image.fromarray(values.numpy().astype(numpy.uint16))


def draw_depth(image: Image.Image, depth: torch.Tensor) -> Image.Image:
    """An RGB picture: the image, beside it its depths in colours, and below a scale from the nearest to the farthest.

    Args:
        image: an RGB picture of any size, which is scaled to sides of 640 pixels at most.
        depth: (H, W) in metres, as large as the image.
    """
    low, high = float(depth.min()), float(depth.max())
    if high - low < 1e-3:  # a wall: the scale needs some length
        low, high = max(0.0, low - 0.05), high + 0.05
    fit = _SIDE / max(image.size)
    size = (max(1, round(image.width * fit)), max(1, round(image.height * fit)))
    share = ((depth.double() - low) / (high - low)).clamp(0, 1).numpy()
    coloured = Image.fromarray(colours(share)).resize(size, Image.Resampling.BILINEAR)
    shown = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    width = max(_LEAST_WIDTH, 2 * size[0] + _GAP)
    sheet = Image.new("RGB", (width, size[1] + 2 * _MARGIN + _BAR + _TICK + _FONT_SIZE + 4), _PAPER)
    left = (width - 2 * size[0] - _GAP) // 2
    sheet.paste(shown, (left, 0))
    sheet.paste(coloured, (left + size[0] + _GAP, 0))
    _draw_scale(sheet, size[1] + _MARGIN, low, high)
    return sheet


def _draw_scale(sheet: Image.Image, top: int, low: float, high: float) -> None:
    """A bar of all colours across the sheet, with ticks in metres below it."""
    font = ImageFont.load_default(size=_FONT_SIZE)
    draw = ImageDraw.Draw(sheet)
    left, wide = 3 * _MARGIN, sheet.width - 6 * _MARGIN
    bar = colours(numpy.linspace(0, 1, wide))
    sheet.paste(Image.fromarray(numpy.tile(bar, (_BAR, 1, 1))), (left, top))
    for value, text in ticks(low, high):
        x = left + round((wide - 1) * (value - low) / (high - low))
        draw.line((x, top + _BAR, x, top + _BAR + _TICK), fill=_INK)
        draw.text((x, top + _BAR + _TICK + 2), f"{text} m", fill=_INK, font=font, anchor="ma")


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round values from `low` to `high` with their texts, at most eight: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / (_MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(index * step, f"{index * step:.{digits}f}") for index in range(first, last + 1)]
