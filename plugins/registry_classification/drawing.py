"""The picture of a classification: the image, and a bar for each class below it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_WIDTH = 480
_LINE = 30
_MARGIN = 12
_INK, _PAPER, _BAR, _BEST = (32, 32, 36), (250, 250, 248), (206, 216, 232), (138, 180, 128)


def draw_classes(image: Image.Image, classes: Sequence[tuple[str, float]]) -> Image.Image:
    """An RGB picture 480 pixels wide: the image scaled to fit, and a line with label, bar and percentage for each class.

    Args:
        image: an RGB picture of any size.
        classes: label and probability (0 to 1), best first.
    """
    scale = min(_WIDTH / image.width, _WIDTH / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (_WIDTH, size[1] + _LINE * len(classes) + 2 * _MARGIN), _PAPER)
    sheet.paste(shown, ((_WIDTH - size[0]) // 2, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for rank, (label, score) in enumerate(classes):
        top = size[1] + _MARGIN + rank * _LINE
        full = _WIDTH - 2 * _MARGIN
        draw.rectangle(
            (_MARGIN, top, _MARGIN + max(2, round(full * score)), top + _LINE - 6), fill=_BEST if rank == 0 else _BAR
        )
        percent = f"{100 * score:.1f} %"
        room = full - draw.textlength(percent, font=font) - 24
        draw.text((_MARGIN + 8, top + 3), _fitted(label, room, draw, font), fill=_INK, font=font)
        draw.text((_WIDTH - _MARGIN - 8, top + 3), percent, fill=_INK, font=font, anchor="ra")
    return sheet


def _fitted(
    text: str, room: float, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """The text, cut with an ellipsis to `room` pixels."""
    if draw.textlength(text, font=font) <= room:
        return text
    while text and draw.textlength(text + "...", font=font) > room:
        text = text[:-1]
    return text + "..."
