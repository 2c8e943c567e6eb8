"""The picture at the end: held-out digits with what the model reads."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 8, 6
_SIDE, _LABEL, _GAP, _TITLE = 88, 26, 10, 52
_INK, _PAPER, _RIGHT, _WRONG = (32, 32, 36), (250, 250, 248), (46, 125, 50), (198, 40, 40)


def draw_digits(pictures: Sequence[Image.Image], read: Sequence[str], true: Sequence[str], title: str) -> Image.Image:
    """A sheet of up to 48 digits, eight in a row; below each what was read, green if right, red with the truth if wrong."""
    width = COLUMNS * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _TITLE + ROWS * (_SIDE + _LABEL + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 16), title, fill=_INK, font=ImageFont.load_default(size=20))
    font = ImageFont.load_default(size=16)
    for index, (picture, answer, truth) in enumerate(zip(pictures, read, true, strict=True)):
        if index == COLUMNS * ROWS:
            break
        left = _GAP + index % COLUMNS * (_SIDE + _GAP)
        top = _TITLE + index // COLUMNS * (_SIDE + _LABEL + _GAP)
        sheet.paste(picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left, top))
        text, tone = (answer, _RIGHT) if answer == truth else (f"{answer}, is {truth}", _WRONG)
        draw.text((left + _SIDE // 2, top + _SIDE + 4), text, fill=tone, font=font, anchor="ma")
    return sheet


def draw_scenes(pictures: Sequence[Image.Image], title: str) -> Image.Image:
    """A sheet of pictures of one shape, three in a row, each 400 pixels wide, under a title."""
    side, columns = 400, 3
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + _GAP) + _GAP, _TITLE + rows * (side + _GAP)), _PAPER)
    ImageDraw.Draw(sheet).text((_GAP, 16), title, fill=_INK, font=ImageFont.load_default(size=20))
    for index, picture in enumerate(pictures):
        place = (_GAP + index % columns * (side + _GAP), _TITLE + index // columns * (side + _GAP))
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), place)
    return sheet
