"""Laying one mapping over another."""

from __future__ import annotations

from registry.host.names import split
from registry.source import Entry, Mapping, Node, Scalar

#: Keys whose value decides which other keys there are.
DISCRIMINATORS = ("type", "kind")


def merge(base: Node | None, over: Node) -> Node:
    """`over` laid over `base`.

    Mappings merge key by key, in the order of `base` and then of the new keys. Lists and scalars are replaced. Where `over`
    names another `type` (or another `kind` of a variant), the settings of the old one are dropped. Every node keeps the
    span of the text that set it; a merged mapping has the span of `over`.
    """
    if not isinstance(base, Mapping) or not isinstance(over, Mapping) or not base.entries or _changes_type(base, over):
        return over
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        before = entries.get(key)
        entries[key] = entry if before is None else Entry(entry.key_span, merge(before.node, entry.node))
    return Mapping(entries, over.span)


def _changes_type(base: Mapping, over: Mapping) -> bool:
    for key in DISCRIMINATORS:
        old, new = base.get(key), over.get(key)
        if isinstance(old, Scalar) and isinstance(new, Scalar) and _differ(old.value, new.value):
            return True
    return False


def _differ(old: object, new: object) -> bool:
    """Whether two types are not the same, one of which may be written without its distribution."""
    if not isinstance(old, str) or not isinstance(new, str):
        return old != new
    (old_owner, old_name), (new_owner, new_name) = split(old), split(new)
    return old_name != new_name or ("" not in (old_owner, new_owner) and old_owner != new_owner)
