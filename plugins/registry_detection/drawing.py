"""The picture of a detection: a box for each object, with its label."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_WIDTH = 640
_LEAST, _MOST = 12, 40


def draw_boxes(image: Image.Image, boxes: Sequence[tuple[Sequence[float], int, str]]) -> Image.Image:
    """An RGB copy of the picture, enlarged to 640 pixels along its longer side if smaller, with boxes and labels.

    Labels stand on top of their box, or inside where there is no room, and never leave the picture.

    Args:
        boxes: corners x1, y1, x2, y2 in pixels of `image`, number of the class, which chooses the colour, and text; best
            first, so that the best is drawn last, over the others.
    """
    scale = max(1.0, _WIDTH / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    sheet = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(sheet)
    text_size = min(_MOST, max(_LEAST, round(max(size) / 32)))
    font = ImageFont.load_default(size=text_size)
    line = max(2, text_size // 8)
    for corners, index, text in reversed(boxes):
        x1, y1, x2, y2 = (round(value * scale) for value in corners)
        x1, x2 = sorted((min(max(x1, 0), size[0] - 1), min(max(x2, 0), size[0] - 1)))
        y1, y2 = sorted((min(max(y1, 0), size[1] - 1), min(max(y2, 0), size[1] - 1)))
        fill = class_colour(index)
        draw.rectangle((x1, y1, x2, y2), outline=fill, width=line)
        _label(draw, font, text, (x1, y1), size, fill)
    return sheet


def class_colour(index: int) -> tuple[int, int, int]:
    """A bright colour for a class: hues a golden section apart, and three depths in turn, for hues come back after 34."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.61803399 % 1, (0.75, 0.5, 1.0)[index % 3], 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _label(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: str,
    corner: tuple[int, int],
    size: tuple[int, int],
    fill: tuple[int, int, int],
) -> None:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = round(right - left) + 6, round(bottom - top) + 6
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height if corner[1] >= height else min(corner[1], size[1] - height)
    y = max(0, y)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=fill)  # corners are pixels that are drawn
    ink = (0, 0, 0) if 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 110 else (255, 255, 255)
    draw.text((x + 3 - left, y + 3 - top), text, fill=ink, font=font)
