"""Overrides: dotted settings given in a call or on the command line, as nodes that say where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingABC
from typing import Any, NamedTuple

from registry.catalog.merge import DISCRIMINATORS, merge
from registry.diagnostics import Diagnostic, SpecError
from registry.source import Entry, Mapping, Node, Scalar, Source, SourceProblem, Span, from_plain, plain, read_value
from registry.source import Sequence as SequenceNode

Overrides = MappingABC[str, Any]


_EXAMPLE = "write for instance `backbone.in_channels=1`"
_DEEPEST = 50


class Override(NamedTuple):
    """One setting: the keys that lead to it, its value, and the span of the path as it was written."""

    path: tuple[str, ...]
    node: Node
    path_span: Span


def from_mapping(overrides: Overrides) -> list[Override]:
    """Overrides given in Python: dotted keys, nested mappings, or both; `{"backbone.width_mult": 0.5}`."""
    found = []
    for path, value in _flatten(overrides, ()):
        dotted = ".".join(path)
        if not all(path):
            span = Span(Source("overrides", dotted), 1, 1, 1, len(dotted) + 1)
            raise SpecError([Diagnostic("REG113", "error", f"the path `{dotted}` has an empty key", span, _EXAMPLE)])
        source = Source("overrides", f"{dotted} = {_shown(value)}")
        start = len(dotted) + 4
        span = Span(source, 1, start, 1, len(source.text) + 1)
        found.append(Override(path, from_plain(value, span), Span(source, 1, 1, 1, len(dotted) + 1)))
    return found


def from_assignments(assignments: Sequence[str]) -> list[Override]:
    """Overrides written as `backbone.width_mult=0.5`, the value read as YAML.

    Raises:
        SpecError: no `=`, an empty path, or a value that is not YAML.
    """
    found = []
    for text in assignments:
        source = Source("--set", text)
        path, equals, value = text.partition("=")
        span = Span(source, 1, 1, 1, max(2, len(path) + 1))
        keys = tuple(key.strip() for key in path.split("."))
        if not equals or not all(keys):
            raise SpecError([Diagnostic("REG113", "error", "an override has the form `key.key=value`", span, _EXAMPLE)])
        try:
            node = read_value(value, "--set")
        except SourceProblem as problem:
            shown = Span(source, 1, len(path) + 2, 1, len(text) + 1)
            raise SpecError([Diagnostic("REG113", "error", problem.message, shown, problem.suggestion)]) from None
        value_span = Span(source, 1, len(path) + 2, 1, len(text) + 1)
        found.append(Override(keys, from_plain(plain(node), value_span), span))
    return found


def apply(root: Mapping, override: Override) -> Mapping:
    """The mapping with one setting laid over it; a numeric key is an index into a list.

    Raises:
        SpecError: the path leads through a value that has no keys, or past the end of a list.
    """
    if len(override.path) > _DEEPEST:
        raise _no_place(override, f"an override's path has at most {_DEEPEST} keys")
    changed = _laid(root, override, 0)
    assert isinstance(changed, Mapping)
    return changed


def _laid(node: Node | None, override: Override, depth: int) -> Node:
    if depth == len(override.path):
        return merge(node, override.node)
    key = override.path[depth]
    if isinstance(node, SequenceNode):
        items = list(node.items)
        if not key.isdecimal() or int(key) >= len(items):
            raise _no_place(override, _index_range(len(items)))
        items[int(key)] = _laid(items[int(key)], override, depth + 1)
        return SequenceNode(tuple(items), node.span)
    names_variant = key in DISCRIMINATORS and depth == len(override.path) - 1 and depth > 0
    if isinstance(node, Scalar) and isinstance(node.value, str) and names_variant:
        node = None  # a word that stands for a variant gives way to another variant
    if isinstance(node, Scalar) and node.value is not None:
        before = ".".join(override.path[:depth])
        raise _no_place(override, f"`{before}` is a single value and has no `{key}`")
    entries = dict(node.entries) if isinstance(node, Mapping) else {}
    if names_variant:
        named = Mapping({key: Entry(override.path_span, override.node)}, override.path_span)
        return merge(node, named)
    below = entries[key].node if key in entries else None
    entries[key] = Entry(override.path_span, _laid(below, override, depth + 1))
    return Mapping(entries, node.span if isinstance(node, Mapping) else override.path_span)


def _index_range(count: int) -> str:
    if count < 2:
        return "the list is empty" if count == 0 else "a list of one item takes only the index 0"
    return f"a list of {count} items takes an index from 0 to {count - 1}"


def _no_place(override: Override, message: str) -> SpecError:
    return SpecError([Diagnostic("REG113", "error", message, override.path_span)])


def _flatten(overrides: Overrides, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    # what decides which other settings there are comes before them
    for key, value in sorted(overrides.items(), key=lambda item: item[0] not in DISCRIMINATORS):
        path = (*prefix, *str(key).split("."))
        if isinstance(value, MappingABC) and value:
            yield from _flatten(value, path)
        else:
            yield path, value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
