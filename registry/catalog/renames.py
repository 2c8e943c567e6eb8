"""Names that were given up: still read for a while, each told with the name that took its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from pydantic_core import ErrorDetails

from registry.catalog.catalog import Catalog
from registry.catalog.documents import Document
from registry.catalog.fields import models_at
from registry.catalog.references import is_path
from registry.catalog.translate import locate
from registry.diagnostics import Diagnostic, Fix
from registry.host import PluginHost
from registry.source import Entry, Mapping, Node, Scalar, Span
from registry.source import Sequence as SequenceNode
from registry.specs import PART_KINDS, PartTypes, Rename, Spec

#: New names by the keys and indices that lead to the old ones; each step has what lies below it, and its own new name or none.
_Names: TypeAlias = dict[str | int, tuple[Any, str]]


def rename_keys(
    root: Mapping, items: Sequence[ErrorDetails], spec_class: type[Spec], types: PartTypes
) -> tuple[Mapping, list[Diagnostic]]:
    """The mapping with the unknown keys that errors are about renamed, where a spec class says that they were renamed."""
    found: list[Diagnostic] = []
    names: _Names = {}
    for item in items:
        place = locate(root, item["loc"]) if item["type"] == "extra_forbidden" else None
        rename = _rename_of(place.path, root, spec_class, types) if place is not None else None
        if place is None or rename is None or place.key_span is None:
            continue
        *holders, old = place.path
        below = names
        for step in holders:
            below = below.setdefault(step, ({}, ""))[0]
        below[old] = {}, rename.name
        found.append(given_up(str(old), rename, place.key_span))
    changed = _renamed(root, names) if names else root
    assert isinstance(changed, Mapping)
    return changed, found


def _rename_of(path: tuple[str | int, ...], root: Mapping, spec_class: type[Spec], types: PartTypes) -> Rename | None:
    key, parent = path[-1] if path else None, locate(root, path[:-1]).node
    if not isinstance(key, str) or not isinstance(parent, Mapping):
        return None
    for model in models_at(spec_class, root, path[:-1], types):
        rename = model.renamed_keys.get(key) if issubclass(model, Spec) else None
        if rename is not None and rename.name not in parent.entries:
            return rename
    return None


def _renamed(node: Node, names: _Names) -> Node:
    """The node with every key renamed that `names` leads to, in one walk."""
    if isinstance(node, SequenceNode):
        items = (_renamed(item, names[i][0]) if i in names else item for i, item in enumerate(node.items))
        return SequenceNode(tuple(items), node.span)
    if not isinstance(node, Mapping):
        return node
    entries: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        below, new = names.get(key, ({}, ""))
        entries[new or key] = Entry(entry.key_span, _renamed(entry.node, below)) if below else entry
    return Mapping(entries, node.span)


def former_names(document: Document, catalog: Catalog, host: PluginHost) -> Iterator[Diagnostic]:
    """References of a document to documents and part types by names that they gave up, where its own text has them."""
    if not catalog.renames and not host.renames:
        return
    yield from _references(document.kind, document.node.get("extends"), catalog)
    if document.kind != "model":
        yield from _type(document.kind, document.node.get("type"), host)
        return
    for kind in PART_KINDS:
        part = document.node.get(kind)
        if isinstance(part, Mapping):
            yield from _references(kind, part.get("extends"), catalog)
            yield from _type(kind, part.get("type"), host)
        else:
            yield from _references(kind, part, catalog)


def _references(kind: str, node: Node | None, catalog: Catalog) -> Iterator[Diagnostic]:
    for scalar in _texts(node):
        name = str(scalar.value)
        rename = None if is_path(name) else catalog.former(kind, name)
        if rename is not None:
            yield given_up(name, rename, scalar.span)


def _type(kind: str, node: Node | None, host: PluginHost) -> Iterator[Diagnostic]:
    for scalar in _texts(node):
        rename = host.former_type(kind, str(scalar.value))
        if rename is not None:
            yield given_up(str(scalar.value), rename, scalar.span)


def _texts(node: Node | None) -> Iterable[Scalar]:
    items = node.items if isinstance(node, SequenceNode) else (node,)
    return [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str)]


def given_up(name: str, rename: Rename, span: Span) -> Diagnostic:
    """The warning that a name was given up, with the edit that puts the new one in its place."""
    distribution, slash, _ = name.rpartition("/")
    new = f"{distribution}{slash}{rename.name}"
    text = f"`{name}` is now called `{new}`, and the old name is read until release {rename.until} only"
    return Diagnostic("REG114", "warning", text, span, f"write `{new}`", fix=Fix(span, new))
