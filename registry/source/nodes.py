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


class Span(NamedTuple):
    """A piece of a source. Lines and columns count from 1, columns in characters; the end is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def file(self) -> str:
        """Name of the source."""
        return self.source.name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


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
    if isinstance(node, Mapping):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def from_plain(value: Any, span: Span) -> Node:
    """Plain data as nodes that all carry one span; values of other types stay as they are, for validation to refuse."""
    if isinstance(value, MappingABC):
        return Mapping({str(key): Entry(span, from_plain(item, span)) for key, item in value.items()}, span)
    if isinstance(value, (list, tuple)):
        return Sequence(tuple(from_plain(item, span) for item in value), span)
    return Scalar(value, span)
