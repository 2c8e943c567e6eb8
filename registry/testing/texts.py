"""Documents made for checks: plain data as text, and what the registry says about a place in it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Union

from registry.diagnostics import Diagnostic
from registry.source import Mapping, Node, Scalar, Sequence, read_bytes

if TYPE_CHECKING:
    from registry.registry import Registry

#: Keys and indices that lead to a place.
Path = tuple[Union[str, int], ...]


def laid(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of plain data with one value put at a path."""
    changed = copy.deepcopy(data)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def written(kind: str, data: dict[str, Any]) -> tuple[str, Node]:
    """A document of a part as text, each key on a line of its own, and as nodes that know their lines."""
    text = json.dumps({"kind": kind, "name": "conformance", **data}, indent=1)
    return text, read_bytes(text.encode(), "<conformance>")[0]


def problems_at(registry: Registry, text: str, root: Node, path: Path) -> list[Diagnostic]:
    """The errors of a document that are told at a path: on the line of its key, or inside its value."""
    first, last = _lines(root, path)
    return [d for d in problems(registry, text) if first <= d.span.line <= last]


def problems(registry: Registry, text: str) -> list[Diagnostic]:
    """The errors of a document."""
    found = registry.library.validate_text(text.encode(), "<conformance>")
    return [diagnostic for diagnostic in found if diagnostic.severity == "error"]


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(map(str, path))


def _lines(root: Node, path: Path) -> tuple[int, int]:
    """First and last line of what stands at a path, its key included."""
    node, line = root, root.span.line
    for step in path:
        if isinstance(node, Mapping):
            entry = node.entries[str(step)]
            node, line = entry.node, entry.key_span.line
        elif isinstance(node, Sequence):
            node = node.items[int(step)]
            line = node.span.line
    return line, line if isinstance(node, Scalar) else max(line, node.span.line)
