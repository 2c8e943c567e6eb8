"""Characters that JSON writes as two escapes, and where they lie."""

from __future__ import annotations

import json
import re
from typing import Any

from registry.source.nodes import LINE_BREAK, Point

_PAIR_LENGTH = 12
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class Joined:
    """A text whose characters past U+FFFF, which JSON writes as two escapes and YAML cannot join, are written as themselves.

    Attributes:
        text: what the parser reads.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._columns: dict[int, list[int]] = {}
        if "\\ud" in text.lower():
            self.text = _PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), text)
            for number, line in enumerate(LINE_BREAK.split(text)):
                pairs = enumerate(_PAIR.finditer(line))
                columns = [pair.start() - index * (_PAIR_LENGTH - 1) for index, pair in pairs]
                if columns:
                    self._columns[number] = columns

    @property
    def moved(self) -> bool:
        """Whether columns of the parser differ from those of the text."""
        return bool(self._columns)

    def place(self, mark: Any) -> Point:
        """Where a mark of the parser lies in the text itself."""
        before = sum(column < mark.column for column in self._columns.get(mark.line, ()))
        return Point(mark.line, mark.column + before * (_PAIR_LENGTH - 1))
