"""YAML 1.2 core schema: what a plain word of a document means.

`1e-3` is a number, `no` and `1:30` and `2024-01-01` and `1_000` are texts, `010` is ten.
"""

from __future__ import annotations

import functools
import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS, _NUMBERS = frozenset("~nNtTfF"), frozenset("0123456789+-.")
#: First characters of plain scalars that may be no texts; any other is one.
NO_TEXT = _WORDS | _NUMBERS
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
#: Longer digit strings are refused by Python itself, and no setting needs them.
_MAX_NUMBER = 400
#: Characters of the words that are remembered with their values.
LONGEST_WORD = 24


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar.

    Raises:
        ValueError: a number of more than 400 characters.
    """
    if not text or text[0] in _WORDS:
        return None if text in _NULL else _BOOL.get(text, text)
    if text[0] not in _NUMBERS:
        return text
    if len(text) > _MAX_NUMBER:
        if any(pattern.fullmatch(text) for pattern in (_FLOAT, _OCTAL, _HEX)):
            raise ValueError(f"a number of {len(text)} characters; at most {_MAX_NUMBER} are read")
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    infinite = _INFINITE.fullmatch(text)
    if infinite:
        return float("-inf") if infinite[1] == "-" else float("inf")
    return float("nan") if text in _NAN else text


@functools.lru_cache(maxsize=4096)
def resolve_word(text: str) -> str | int | float | bool | None:
    """The value of a short scalar: documents repeat most of their numbers."""
    return resolve(text)
