"""Which keys a place in a document may have: walks spec classes the way a path walks a document."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from registry.errors import RegistryError
from registry.source import Mapping, Node, Scalar
from registry.source import Sequence as SequenceNode
from registry.specs import PART_KINDS, PartTypes, Spec


def known_keys(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[str]:
    """Keys that the mapping at `path` may have, given the root's spec class; empty where that cannot be told."""
    classes: list[type[BaseModel]] = [root]
    current: Node | None = node
    for step in path:
        annotations = [c.model_fields[step].annotation for c in classes if step in c.model_fields]
        if isinstance(step, int):
            current = current.items[step] if isinstance(current, SequenceNode) and step < len(current.items) else None
            continue
        current = current.get(step) if isinstance(current, Mapping) else None
        classes = [found for annotation in annotations for found in _spec_classes(annotation)]
        classes = _narrowed(classes, current, step, types)
    return sorted({name for found in classes for name in found.model_fields})


def _spec_classes(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every spec class inside an annotation, through lists, unions and dict values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _spec_classes(argument)


def _narrowed(classes: list[type[BaseModel]], node: Node | None, key: str, types: PartTypes) -> list[type[BaseModel]]:
    """The registered class of a part, or the member of a union that the discriminating value names."""
    if not isinstance(node, Mapping):
        return classes
    type_node = node.get("type")
    name = type_node.value if isinstance(type_node, Scalar) else None
    if key in PART_KINDS and isinstance(name, str):
        try:
            return [types.spec_class(key, name)]
        except RegistryError:
            return []
    chosen = [c for c in classes if _admits(c, node)]
    return chosen or classes


def _admits(spec_class: type[BaseModel], node: Mapping) -> bool:
    """True unless a Literal field of the class contradicts the mapping."""
    for name, field in spec_class.model_fields.items():
        allowed = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
        written = node.get(name)
        if allowed and (not isinstance(written, Scalar) or written.value not in allowed):
            return False
    return True
