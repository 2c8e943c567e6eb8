"""Immutable nodes of a document: scalars, sequences and mappings, each with the span of text that set it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Union

#: What ends a line in YAML.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class Source:
    """A text and the name it is known by: a file's path, `<stdin>`, or the override as it was written."""

    name: str
    text: str = field(repr=False, default="")

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its line break; empty past the end."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    @functools.cached_property
    def _lines(self) -> list[str]:
        return LINE_BREAK.split(self.text)


class Point(NamedTuple):
    """A place in a text, counted from 0 as parsers do."""

    line: int
    column: int


class Span:
    """A piece of a source. Lines and columns count from 1, columns in characters; the end is exclusive. Immutable.

    Numbers are worked out when someone asks: of a document that is right nobody does.
    """

    __slots__ = ("_end", "_start", "source")

    def __init__(self, source: Source, line: int, column: int, end_line: int, end_column: int) -> None:
        self.source = source
        self._start: Any = Point(line - 1, column - 1)
        self._end: Any = Point(end_line - 1, end_column - 1)

    @property
    def line(self) -> int:
        """First line."""
        return int(self._start.line) + 1

    @property
    def column(self) -> int:
        """First column."""
        return int(self._start.column) + 1

    @property
    def end_line(self) -> int:
        """Line of the character after the last one."""
        return int(self._end.line) + 1

    @property
    def end_column(self) -> int:
        """Column of the character after the last one."""
        return int(self._end.column) + 1

    @property
    def file(self) -> str:
        """Name of the source."""
        return self.source.name

    def without_text(self) -> Span:
        """The same place, which keeps no text in memory."""
        return Span(Source(self.file), *self._numbers())

    def _numbers(self) -> tuple[int, int, int, int]:
        return self.line, self.column, self.end_line, self.end_column

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.source, self._numbers()) == (other.source, other._numbers())

    def __hash__(self) -> int:
        return hash((self.source.name, self._numbers()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Span, (self.source, *self._numbers())

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self}-{self.end_line}:{self.end_column})"


class ParsedSpan(Span):
    """A span between two marks of a parser, which have `line` and `column`."""

    __slots__ = ()

    def __init__(self, source: Source, start: Any, end: Any) -> None:
        self.source = source
        self._start = start
        self._end = end


class Scalar(NamedTuple):
    """A text, number, truth value or nothing."""

    value: str | int | float | bool | None
    span: Span


@dataclass(frozen=True)
class Sequence:
    """A list of nodes."""

    items: tuple[Node, ...]
    span: Span


class Entry(NamedTuple):
    """A value of a mapping with the span of its key."""

    key_span: Span
    node: Node


@dataclass(frozen=True)
class Mapping:
    """Named nodes in the order in which they were written."""

    entries: MappingABC[str, Entry]
    span: Span

    def get(self, key: str) -> Node | None:
        """The node at `key`, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.node

    def without(self, *keys: str) -> Mapping:
        """The same mapping less some keys."""
        return Mapping({key: entry for key, entry in self.entries.items() if key not in keys}, self.span)


Node = Union[Scalar, Sequence, Mapping]


def plain(node: Node) -> Any:
    """The node as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {
            key: below.value if type(below := entry.node) is Scalar else plain(below)
            for key, entry in node.entries.items()
        }
    return [plain(item) for item in node.items]


def from_plain(value: Any, span: Span) -> Node:
    """Plain data as nodes that all carry one span; values of other types stay as they are, for validation to refuse."""
    if isinstance(value, MappingABC):
        return Mapping({str(key): Entry(span, from_plain(item, span)) for key, item in value.items()}, span)
    if isinstance(value, (list, tuple)):
        return Sequence(tuple(from_plain(item, span) for item in value), span)
    return Scalar(value, span)
