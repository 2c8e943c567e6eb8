"""Files to nodes: bytes are decoded, parsed by libyaml event by event, and bounded in size and depth.

Events rather than libyaml's own composer: its recursion has no limit of its own, and its mapping forgets where a key stood.
No tag is honoured, so no document can name a Python object.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import yaml

from registry.source.escapes import Joined
from registry.source.nodes import LINE_BREAK, Entry, Mapping, Node, ParsedSpan, Point, Scalar, Sequence, Source, Span
from registry.source.problems import SourceProblem
from registry.source.scalars import NO_TEXT, resolve

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 4_000_000
MAX_DEPTH = 50
#: Nodes of one document after its aliases are followed: what an alias bomb multiplies.
MAX_NODES = 100_000
#: Documents of one file.
MAX_DOCUMENTS = 1000


def read_file(path: str | os.PathLike[str]) -> list[Node]:
    """Every document of a YAML or JSON file.

    Raises:
        SourceProblem: the file cannot be read, is too large, is not UTF-8, or is not YAML.
    """
    name = os.fspath(path)
    nowhere = _point(Source(name))
    try:
        if os.path.isdir(path):
            raise IsADirectoryError
        if os.path.getsize(path) > MAX_BYTES:
            raise SourceProblem("REG006", f"the file has more than {MAX_BYTES:,} bytes", nowhere, "split it")
        if not os.path.isfile(path):
            os.stat(path)  # says why, where it is not there
            raise SourceProblem("REG001", "this is no regular file", nowhere)
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceProblem("REG001", "there is no such file", nowhere) from None
    except IsADirectoryError:
        raise SourceProblem("REG001", "this is a folder, not a file", nowhere) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceProblem("REG001", f"the file cannot be read: {reason}", nowhere) from None
    return read_bytes(data, name)


def read_bytes(data: bytes, name: str) -> list[Node]:
    """Every document of a YAML or JSON text.

    Raises:
        SourceProblem: as for `read_file`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        where = _after(Source(name, before), before)
        message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise SourceProblem("REG002", message, where, "save it as UTF-8") from None
    source = Source(name, text.removeprefix("\ufeff"))
    if len(data) > MAX_BYTES:
        raise SourceProblem("REG006", f"the text has more than {MAX_BYTES:,} bytes", _point(source), "split it")
    return _Composer(source).documents()


def read_value(text: str, name: str) -> Node:
    """One value as a YAML document would read it; an empty text is null.

    Raises:
        SourceProblem: the text is not one YAML value.
    """
    source = Source(name, text)
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes of the command line that no encoding explains
        where = _after(Source(name), text[: error.start])
        raise SourceProblem("REG003", "not YAML: the text is not valid Unicode", where) from None
    documents = _Composer(source).documents()
    if len(documents) > 1:
        raise SourceProblem("REG003", "one value was expected, not several documents", _point(source))
    return documents[0] if documents else Scalar(None, _point(source))


def _after(source: Source, before: str) -> Span:
    """The character that follows `before`."""
    lines = LINE_BREAK.split(before)
    line, column = len(lines), len(lines[-1]) + 1
    return Span(source, line, column, line, column + 1)


def _point(source: Source) -> Span:
    return Span(source, 1, 1, 1, 1)


def _no_key(key: Node) -> SourceProblem:
    if not isinstance(key, Scalar):
        return SourceProblem("REG005", "a key must be a text, not a list or mapping", key.span)
    written = "null" if key.value is None else str(key.value)
    shown = written.lower() if isinstance(key.value, bool) else written
    return SourceProblem("REG005", f"a key must be a text, not `{shown}`", key.span, "quote it")


class _Quoted(str):
    """`"<<"` in quotes: a key like any other, and no merge key."""


class _Open:
    """A collection whose end has not been read yet; `size` and `height` are those of its children."""

    __slots__ = ("children", "event", "height", "size")

    def __init__(self, event: Any) -> None:
        self.event = event
        self.children: list[Node] = []
        self.size = 1
        self.height = 0


class _Composer:
    """Builds nodes from libyaml's events without recursion.

    The size of a node counts it and all below it, aliases followed; the height is how many collections lie in one another.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._joined = Joined(source.text)
        #: Node, size and height by anchor.
        self._anchors: dict[str, tuple[Node, int, int]] = {}

    def documents(self) -> list[Node]:
        top = _Open(None)
        try:
            parser = _Loader(self._joined.text)
            try:
                self._compose(parser.get_event, top)
            finally:
                parser.dispose()
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None
        except yaml.YAMLError as error:
            raise self._unreadable(error) from None
        return top.children

    def _compose(self, next_event: Callable[[], Any], top: _Open) -> None:
        source, anchors = self._source, self._anchors
        stack, current, make = [top], top, tuple.__new__
        left, documents, straight = MAX_NODES, 0, not self._joined.moved
        # what runs for every value of every document is written out here: a call each would double the time
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.tag is not None:
                    self._refuse_tag(event)
                span = ParsedSpan(source, event.start_mark, event.end_mark) if straight else self._span(event)
                value = event.value
                if event.style or not event.implicit[0]:
                    value = _Quoted("<<") if value == "<<" else value
                elif not value or value[0] in NO_TEXT:
                    value = self._resolved(value, span)
                scalar = make(Scalar, (value, span))
                if event.anchor is not None:
                    anchors[event.anchor] = scalar, 1, 0
                current.children.append(scalar)
                current.size += 1
                left -= 1
                if left < 0:
                    raise SourceProblem("REG006", f"more than {MAX_NODES:,} values in one file", span, "split it")
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.tag is not None:
                    self._refuse_tag(event)
                self._check_depth(len(stack), event)
                current = _Open(event)
                stack.append(current)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                found = self._closed(stack.pop(), event)
                current = stack[-1]
                self._take(current, *found)
            elif kind is yaml.AliasEvent:
                aliased = anchors.get(event.anchor)
                if aliased is None:
                    raise SourceProblem("REG003", f"there is no anchor `&{event.anchor}` above", self._span(event))
                self._check_depth(len(stack) - 1 + aliased[2], event)
                self._take(current, *aliased)
            elif kind is yaml.DocumentStartEvent:
                anchors.clear()
                documents += 1
                if documents > MAX_DOCUMENTS:
                    text = f"more than {MAX_DOCUMENTS:,} documents in one file"
                    raise SourceProblem("REG006", text, self._span(event), "split it")
            elif kind is yaml.StreamEndEvent:
                return

    @staticmethod
    def _take(opened: _Open, node: Node, size: int, height: int) -> None:
        opened.children.append(node)
        opened.size += size
        opened.height = max(opened.height, height)

    @staticmethod
    def _resolved(text: str, span: Span) -> str | int | float | bool | None:
        try:
            return resolve(text)
        except ValueError as error:
            raise SourceProblem("REG006", str(error), span) from None

    def _check_depth(self, depth: int, event: Any) -> None:
        if depth > MAX_DEPTH:
            raise SourceProblem("REG006", f"values are nested more than {MAX_DEPTH} deep", self._span(event))

    def _closed(self, opened: _Open, end: Any) -> tuple[Node, int, int]:
        """The node of a collection that ends, with its size and height."""
        start = opened.event
        span = self._span(start, end)
        if opened.size > MAX_NODES:
            raise SourceProblem("REG006", f"more than {MAX_NODES:,} values, aliases followed", span)
        is_list = type(start) is yaml.SequenceStartEvent
        node: Node = Sequence(tuple(opened.children), span) if is_list else self._mapping(opened, span)
        found = node, opened.size, opened.height + 1
        if start.anchor is not None:
            self._anchors[start.anchor] = found
        return found

    def _mapping(self, opened: _Open, span: Span) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        seen: dict[str, int] = {}
        for key, value in zip(opened.children[::2], opened.children[1::2], strict=True):
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                raise _no_key(key)
            if key.value == "<<" and not isinstance(key.value, _Quoted):
                if "<<" in seen:
                    first = seen["<<"]
                    raise SourceProblem("REG004", f"the key `<<` stands twice, first on line {first}", key.span)
                seen["<<"] = key.span.line
                for name, entry in self._merged(value):
                    merged.setdefault(name, entry)
            elif key.value in entries:
                first = entries[key.value].key_span.line
                raise SourceProblem("REG004", f"the key `{key.value}` stands twice, first on line {first}", key.span)
            else:
                entries[key.value] = Entry(key.span, value)
        return Mapping({**merged, **entries}, span)

    def _merged(self, value: Node) -> list[tuple[str, Entry]]:
        """Entries that a merge key `<<` brings in, the first mapping winning."""
        mappings = value.items if isinstance(value, Sequence) else (value,)
        found: list[tuple[str, Entry]] = []
        for mapping in mappings:
            if not isinstance(mapping, Mapping):
                raise SourceProblem("REG003", "`<<` takes a mapping or a list of mappings", mapping.span)
            found.extend(mapping.entries.items())
        return found

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise SourceProblem("REG007", f"the tag `{tag}` is not allowed", self._span(event), "write the value alone")

    def _span(self, start: Any, end: Any = None) -> Span:
        marks: tuple[Any, Any] = start.start_mark, (end or start).end_mark
        if self._joined.moved:
            marks = self._joined.place(marks[0]), self._joined.place(marks[1])
        return ParsedSpan(self._source, *marks)

    def _syntax(self, error: yaml.MarkedYAMLError) -> SourceProblem:
        mark = error.problem_mark or error.context_mark
        place = self._joined.place(mark) if mark else Point(0, 0)
        line, column = place.line + 1, place.column + 1
        where = Span(self._source, line, column, line, column + 1)
        if self._source.line(line)[column - 1 : column] == "\t" and "cannot start any token" in (error.problem or ""):
            return SourceProblem("REG003", "not YAML: a tab in the indentation", where, "indent with spaces")
        context = f" ({error.context})" if error.context else ""
        return SourceProblem("REG003", f"not YAML: {error.problem or 'cannot be parsed'}{context}", where)

    def _unreadable(self, error: yaml.YAMLError) -> SourceProblem:
        """A character that YAML forbids, such as NUL; libyaml tells its offset, not its line."""
        # libyaml counts bytes
        before = self._joined.text.encode()[: getattr(error, "position", 0)].decode("utf-8", "ignore")
        where = _after(self._source, before)
        character = getattr(error, "character", None)
        named = f"U+{character:04X}" if isinstance(character, int) else "a control character"
        return SourceProblem("REG003", f"not YAML: {named} is not allowed", where, "remove it")
