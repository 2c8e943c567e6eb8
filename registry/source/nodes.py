"""Immutable nodes of a document: scalars, sequences and mappings, each with the span of text that set it."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingABC
from typing import Any, NamedTuple, Union

#: What ends a line in YAML.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Source:
    """A text and the name it is known by: a file's path, `<stdin>`, or the override as it was written. Immutable."""

    __slots__ = ("_lines", "name", "text")

    def __init__(self, name: str, text: str = "") -> None:
        self.name = name
        self.text = text
        self._lines: list[str] | None = None

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its line break; empty past the end."""
        if self._lines is None:
            self._lines = LINE_BREAK.split(self.text)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and (self.name, self.text) == (other.name, other.text)

    def __hash__(self) -> int:
        return hash((self.name, self.text))

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.name, self.text)

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


class Point(NamedTuple):
    """A place in a text, counted from 0 as parsers do."""

    line: int
    column: int


class Span(tuple[Any, ...]):
    """A piece of a source. Lines and columns count from 1, columns in characters; the end is exclusive. Immutable.

    Holds two places as parsers tell them; numbers are worked out when someone asks: of a document that is right nobody does.
    """

    __slots__ = ()

    def __new__(cls, source: Source, line: int, column: int, end_line: int, end_column: int) -> Span:
        """The span between two places in lines and columns from 1."""
        return cls.between(source, Point(line - 1, column - 1), Point(end_line - 1, end_column - 1))

    @classmethod
    def between(cls, source: Source, start: Any, end: Any) -> Span:
        """The span between two marks of a parser, which have `line` and `column` from 0."""
        return tuple.__new__(cls, (source, start, end))

    @property
    def source(self) -> Source:
        """The text it is a piece of."""
        source: Source = self[0]
        return source

    @property
    def line(self) -> int:
        """First line."""
        return int(self[1].line) + 1

    @property
    def column(self) -> int:
        """First column."""
        return int(self[1].column) + 1

    @property
    def end_line(self) -> int:
        """Line of the character after the last one."""
        return int(self[2].line) + 1

    @property
    def end_column(self) -> int:
        """Column of the character after the last one."""
        return int(self[2].column) + 1

    @property
    def file(self) -> str:
        """Name of the source."""
        name: str = self[0].name
        return name

    def numbers(self) -> tuple[int, int, int, int]:
        """First line and column, and those of the character after the last one."""
        return self.line, self.column, self.end_line, self.end_column

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.source, self.numbers()) == (other.source, other.numbers())

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.file, self.numbers()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Span, (self.source, *self.numbers())

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self}-{self.end_line}:{self.end_column})"


class Scalar(NamedTuple):
    """A text, number, truth value or nothing."""

    value: str | int | float | bool | None
    span: Span


class Sequence(NamedTuple):
    """A list of nodes."""

    items: tuple[Node, ...]
    span: Span


class Entry(NamedTuple):
    """A value of a mapping with the span of its key."""

    key_span: Span
    node: Node


class Mapping(NamedTuple):
    """Named nodes in the order in which they were written."""

    entries: MappingABC[str, Entry]
    span: Span

    def get(self, key: str) -> Node | None:
        """The node at `key`, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.node

    def without(self, *keys: str) -> Mapping:
        """The same mapping less some keys."""
        if self.entries.keys().isdisjoint(keys):
            return self
        return Mapping({key: entry for key, entry in self.entries.items() if key not in keys}, self.span)


Node = Union[Scalar, Sequence, Mapping]


def plain(node: Node) -> Any:
    """The node as dicts, lists and scalars."""
    value: Any = node[0]  # not by name, and no comprehension: this runs for every value of every document
    if type(node) is Mapping:
        data: dict[str, Any] = {}
        for key, entry in value.items():
            below = entry[1]
            data[key] = below[0] if type(below) is Scalar else plain(below)
        return data
    if type(node) is Sequence:
        return [item[0] if type(item) is Scalar else plain(item) for item in value]
    return value


def from_plain(value: Any, span: Span) -> Node:
    """Plain data as nodes that all carry one span; values of other types stay as they are, for validation to refuse."""
    if isinstance(value, MappingABC):
        return Mapping({str(key): Entry(span, from_plain(item, span)) for key, item in value.items()}, span)
    if isinstance(value, (list, tuple)):
        return Sequence(tuple(from_plain(item, span) for item in value), span)
    return Scalar(value, span)
