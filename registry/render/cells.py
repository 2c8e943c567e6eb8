"""A line of source as a terminal shows it: one cell for most characters, two for wide ones, none for combining ones."""

from __future__ import annotations

import unicodedata
from typing import Final

from registry.source import Span

WIDEST: Final = 160
_TAB: Final = " " * 4
_CUT: Final = "\u2026"


def shows(character: str) -> bool:
    """Whether a terminal shows the character itself: no control, direction mark, line break or half of a pair."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def excerpt(span: Span, widest: int = WIDEST) -> tuple[str, int, int] | None:
    """The span's first line as it is shown, the cells before the span, and the cells under it, at least one.

    Tabs become four spaces and what cannot be shown becomes U+FFFD. A line of more than `widest` cells is cut around the
    start of the span. None for a blank line.
    """
    whole = span.source.line(span.line)
    if not whole or whole.isspace():
        return None
    column = min(span.column - 1, len(whole))
    # of a long line, only what can be shown is looked at
    base = max(0, column - 2 * widest) if len(whole) > 4 * widest else 0
    line = whole[base : column + 2 * widest] if len(whole) > 4 * widest else whole
    start, more = column - base, base + len(line) < len(whole)
    end = min(span.end_column - 1 - base, len(line)) if span.end_line == span.line else len(line.rstrip())
    shown = [_shown(character) for character in line]
    cells = [_cells(text) for text in shown]
    while 0 < start < len(line) and not cells[start]:  # a combining character shares the cell of its base
        start -= 1
    first, last = _window(cells, start, widest)
    cut = first > 0 or base > 0
    text = _CUT * cut + "".join(shown[first:last]) + _CUT * (more or last < len(line))
    return text, cut + sum(cells[first:start]), max(1, sum(cells[start : min(end, last)]))


def _window(cells: list[int], start: int, widest: int) -> tuple[int, int]:
    """Characters of the line to show: all, or as many as fit from a third of the width before `start`."""
    if sum(cells) <= widest:
        return 0, len(cells)
    room = widest - 2 * len(_CUT)
    first, before = start, 0
    while first > 0 and before + cells[first - 1] <= room // 3:
        first -= 1
        before += cells[first]
    last, used = start, before
    while last < len(cells) and used + cells[last] <= room:
        used += cells[last]
        last += 1
    while first > 0 and used + cells[first - 1] <= room:  # the end of the line is near
        first -= 1
        used += cells[first]
    while first < start and not cells[first]:  # what would combine with the mark of the cut
        first += 1
    return first, last


def _shown(character: str) -> str:
    if character == "\t":
        return _TAB
    return character if shows(character) else "\ufffd"


def _cells(text: str) -> int:
    if unicodedata.category(text[0]) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(text[0]) in "WF" else len(text)
