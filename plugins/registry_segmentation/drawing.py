"""The picture of a segmentation: the image under its coloured mask, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont

from registry.errors import RegistryError

_LEAST_WIDTH = 640
_MARGIN, _SWATCH, _LINE, _GAP = 12, 18, 30, 18
_INK, _PAPER = (32, 32, 36), (250, 250, 248)
_STRENGTH = 0.6


def class_colour(index: int) -> tuple[int, int, int]:
    """The colour of a class in Pascal VOC's palette: bits of the id spread over red, green and blue; 0 is black."""
    red = green = blue = 0
    for shift in range(8):
        red |= (index >> (3 * shift) & 1) << (7 - shift)
        green |= (index >> (3 * shift + 1) & 1) << (7 - shift)
        blue |= (index >> (3 * shift + 2) & 1) << (7 - shift)
    return red, green, blue


def id_picture(mask: torch.Tensor) -> Image.Image:
    """A mask as a picture whose values are the ids: with Pascal VOC's palette up to 256 classes, else 16-bit grey.

    Raises:
        RegistryError: an id does not fit 16 bits, the most a PNG holds.
    """
    if mask.dtype != torch.uint8:
        largest = int(mask.max())
        if largest > 65535:
            raise RegistryError(f"the class id {largest} does not fit a PNG, whose values end at 65535")
        return Image.fromarray(mask.numpy().astype("uint16"))
    picture = Image.fromarray(mask.numpy())
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([value for index in range(256) for value in class_colour(index)])
    return picture


def draw_mask(image: Image.Image, mask: torch.Tensor, classes: Sequence[tuple[int, str, float]]) -> Image.Image:
    """An RGB picture at least 640 pixels wide: the image, its classes but 0 in colour, and all of them in a legend below.

    Args:
        mask: (H, W), ids, as large as the image.
        classes: id, label and share (0 to 1) of each class that occurs.
    """
    scale = max(1.0, _LEAST_WIDTH / image.width) if image.width >= image.height / 4 else 1.0
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    for index, _, _ in classes:
        if index:
            inside = Image.fromarray(((mask == index).numpy() * round(255 * _STRENGTH)).astype("uint8"))
            colour = Image.new("RGB", size, class_colour(index))
            shown.paste(colour, mask=inside.resize(size, Image.Resampling.NEAREST))
    width = max(_LEAST_WIDTH, size[0])
    font = ImageFont.load_default(size=16)
    places, bottom = _legend(classes, width, font)
    sheet = Image.new("RGB", (width, size[1] + bottom), _PAPER)
    sheet.paste(shown, ((width - size[0]) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for (index, _, _), (x, y, text) in zip(classes, places, strict=True):
        top = size[1] + y
        draw.rectangle((x, top, x + _SWATCH, top + _SWATCH), fill=class_colour(index), outline=_INK)
        draw.text((x + _SWATCH + 8, top + _SWATCH // 2), text, fill=_INK, font=font, anchor="lm")
    return sheet


def _shortened(label: str, end: str, room: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """A label and what follows it, cut so that both fit into `room` pixels."""
    if len(label) < 2 or font.getlength(label + end) <= room:
        return label + end
    low, high = 1, len(label) - 1  # halving, for a measurement takes as long as its text
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(f"{label[:middle]}...{end}") <= room else (low, middle - 1)
    return f"{label[:low]}...{end}"


def _legend(
    classes: Sequence[tuple[int, str, float]], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[list[tuple[int, int, str]], int]:
    """Where each entry stands, x and y below the picture, with its text; and how high the legend is."""
    places: list[tuple[int, int, str]] = []
    x, y = _MARGIN, _MARGIN
    for _, label, share in classes:
        text = _shortened(label, f" {100 * share:.1f} %", width - 2 * _MARGIN - _SWATCH - 8, font)
        wide = _SWATCH + 8 + round(font.getlength(text))
        if x > _MARGIN and x + wide > width - _MARGIN:
            x, y = _MARGIN, y + _LINE
        places.append((x, y, text))
        x += wide + _GAP
    return places, y + _LINE + _MARGIN // 2
