"""Texts to nodes: parsed by libyaml event by event, and bounded in size and depth.

Events rather than libyaml's own composer: its recursion has no limit of its own, and its mapping forgets where a key stood.
No tag is honoured, so no document can name a Python object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from registry.source.escapes import Joined
from registry.source.nodes import LINE_BREAK, Entry, Mapping, Node, Point, Scalar, Sequence, Source, Span
from registry.source.problems import SourceProblem
from registry.source.scalars import LONGEST_WORD, NO_TEXT, resolve, resolve_word

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ScalarEvent = yaml.ScalarEvent
_MappingStartEvent, _MappingEndEvent = yaml.MappingStartEvent, yaml.MappingEndEvent
_SequenceStartEvent, _SequenceEndEvent = yaml.SequenceStartEvent, yaml.SequenceEndEvent
#: Makes a named tuple of a class and its fields without a call of its own.
_make: Any = tuple.__new__

MAX_DEPTH = 50
#: Nodes of one document after its aliases are followed: what an alias bomb multiplies.
MAX_NODES = 100_000
#: Documents of one file.
MAX_DOCUMENTS = 1000


def compose(source: Source) -> list[Node]:
    """Every document of a YAML or JSON text.

    Raises:
        SourceProblem: it is none, or past a limit.
    """
    return _Composer(source).documents()


def after(source: Source, before: str) -> Span:
    """The character that follows `before`."""
    lines = LINE_BREAK.split(before)
    line, column = len(lines), len(lines[-1]) + 1
    return Span(source, line, column, line, column + 1)


def _no_key(key: Node) -> SourceProblem:
    if not isinstance(key, Scalar):
        return SourceProblem("REG005", "a key must be a text, not a list or mapping", key.span)
    written = "null" if key.value is None else str(key.value)
    shown = written.lower() if isinstance(key.value, bool) else written
    return SourceProblem("REG005", f"a key must be a text, not `{shown}`", key.span, "quote it")


def _plain_entries(children: list[Node]) -> dict[str, Entry] | None:
    """The entries of a mapping whose keys are texts, each once, and none a merge key; None for any other."""
    entries: dict[str, Entry] = {}
    pairs = iter(children)
    for key, value in zip(pairs, pairs, strict=True):
        name = key[0]
        if type(name) is not str:
            return None
        entries[name] = _make(Entry, (key[1], value))
    return entries if 2 * len(entries) == len(children) and "<<" not in entries else None


class _Quoted(str):
    """`"<<"` in quotes: a key like any other, and no merge key."""


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
        try:
            parser = _Loader(self._joined.text)
            try:
                return self._compose(self._placed(parser.get_event) if self._joined.moved else parser.get_event)
            finally:
                parser.dispose()
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None
        except yaml.YAMLError as error:
            raise self._unreadable(error) from None

    def _compose(self, next_event: Callable[[], Any]) -> list[Node]:
        source, anchors, make, no_text, word = self._source, self._anchors, _make, NO_TEXT, resolve_word
        left, documents = MAX_NODES, 0
        # of the open collection: its first event, its children, the size of all but these themselves, and its height so far
        start: Any = None
        children: list[Node] = []
        size, height = 1, 0
        # the same of those around it
        stack: list[tuple[Any, list[Node], int, int]] = []
        # what runs for every value of every document is written out here: a call each would double the time
        while True:
            event = next_event()
            kind = type(event)
            if kind is _ScalarEvent:
                if event.tag is not None:
                    self._refuse_tag(event)
                span = make(Span, (source, event.start_mark, event.end_mark))
                value = event.value
                if event.style:
                    value = _Quoted("<<") if value == "<<" else value
                elif not value or value[0] in no_text:
                    value = word(value) if len(value) <= LONGEST_WORD else self._resolved(value, span)
                scalar = make(Scalar, (value, span))
                if event.anchor is not None:
                    anchors[event.anchor] = scalar, 1, 0
                children.append(scalar)
                left -= 1
                if left < 0:
                    raise SourceProblem("REG006", f"more than {MAX_NODES:,} values in one file", span, "split it")
            elif kind is _MappingStartEvent or kind is _SequenceStartEvent:
                if event.tag is not None:
                    self._refuse_tag(event)
                stack.append((start, children, size, height))
                self._check_depth(len(stack), event)
                start, children, size, height = event, [], 1, 0
            elif kind is _MappingEndEvent or kind is _SequenceEndEvent:
                span = make(Span, (source, start.start_mark, event.end_mark))
                size += len(children)
                if size > MAX_NODES:
                    raise SourceProblem("REG006", f"more than {MAX_NODES:,} values, aliases followed", span)
                if kind is _MappingEndEvent:
                    node = make(Mapping, (_plain_entries(children) or self._entries(children), span))
                else:
                    node = make(Sequence, (tuple(children), span))
                if start.anchor is not None:
                    anchors[start.anchor] = node, size, height + 1
                inner, inside = size, height + 1
                start, children, size, height = stack.pop()
                children.append(node)
                size += inner - 1  # the node itself counts among the children
                height = max(height, inside)
            elif kind is yaml.AliasEvent:
                aliased = anchors.get(event.anchor)
                if aliased is None:
                    raise SourceProblem("REG003", f"there is no anchor `&{event.anchor}` above", self._span(event))
                self._check_depth(len(stack) + aliased[2], event)
                children.append(aliased[0])
                size += aliased[1] - 1
                height = max(height, aliased[2])
            elif kind is yaml.DocumentStartEvent:
                anchors.clear()
                documents += 1
                if documents > MAX_DOCUMENTS:
                    text = f"more than {MAX_DOCUMENTS:,} documents in one file"
                    raise SourceProblem("REG006", text, self._span(event), "split it")
            elif kind is yaml.StreamEndEvent:
                return children

    @staticmethod
    def _resolved(text: str, span: Span) -> str | int | float | bool | None:
        try:
            return resolve(text)
        except ValueError as error:
            raise SourceProblem("REG006", str(error), span) from None

    def _check_depth(self, depth: int, event: Any) -> None:
        if depth > MAX_DEPTH:
            raise SourceProblem("REG006", f"values are nested more than {MAX_DEPTH} deep", self._span(event))

    def _entries(self, children: list[Node]) -> dict[str, Entry]:
        """The entries of a mapping whose keys and values stand one after the other, merge keys followed."""
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        seen: dict[str, int] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
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
        return {**merged, **entries}

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

    def _placed(self, next_event: Callable[[], Any]) -> Callable[[], Any]:
        """The events with their places in the text itself."""

        def placed() -> Any:
            event = next_event()
            event.start_mark = self._joined.place(event.start_mark)
            event.end_mark = self._joined.place(event.end_mark)
            return event

        return placed

    def _span(self, event: Any) -> Span:
        return Span.between(self._source, event.start_mark, event.end_mark)

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
        where = after(self._source, before)
        character = getattr(error, "character", None)
        named = f"U+{character:04X}" if isinstance(character, int) else "a control character"
        return SourceProblem("REG003", f"not YAML: {named} is not allowed", where, "remove it")
