"""What a place in a document may hold: walks spec classes the way a path walks a document."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from registry.errors import RegistryError
from registry.source import Mapping, Node, Scalar
from registry.source import Sequence as SequenceNode
from registry.specs import PART_KINDS, PartSpec, PartTypes, Spec


def known_keys(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[str]:
    """Keys that the mapping at `path` may have, given the root's spec class; empty where that cannot be told."""
    return sorted({name for found in models_at(root, node, path, types) for name in found.model_fields})


def models_at(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[type[BaseModel]]:
    """Spec classes that may describe the mapping at `path`, fewer where the document shows which is meant."""
    return _models(_at(root, node, path, types))


def known_values(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[str]:
    """Texts that may stand at `path`, which need not exist; empty where they are not a fixed choice."""
    annotations = _annotations(root, node, path, types)
    literals = [a for a in annotations if typing.get_origin(a) is typing.Literal]
    return sorted({value for a in literals for value in typing.get_args(a) if isinstance(value, str)})


def kinds_wanted(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> str:
    """What may stand at `path`, in words: `a list`, `a text or a list`."""
    kinds = [_WORDS.get(typing.get_origin(a) or a) for a in _annotations(root, node, path, types)]
    return " or ".join(dict.fromkeys(kind or "a mapping" for kind in kinds)) or "a value"


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "a list",
    list: "a list",
    typing.Literal: "one of the choices",
}


def _annotations(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[Any]:
    """The alternatives that the last key of `path` has in whatever mapping the rest of it leads to."""
    return [found for branch in _at(root, node, path[:-1], types) for found in _inside(branch, path[-1])]


def _at(root: type[Spec], node: Node, path: Sequence[str | int], types: PartTypes) -> list[Any]:
    """The alternatives at `path`, fewer where the document shows which is meant."""
    branches: list[Any] = [root]
    current: Node | None = node
    for step in path:
        branches = [found for branch in branches for found in _inside(branch, step)]
        if isinstance(step, int):
            current = current.items[step] if isinstance(current, SequenceNode) and step < len(current.items) else None
        else:
            current = current.get(step) if isinstance(current, Mapping) else None
        branches = _narrowed(branches, current, step, types)
    return branches


def _inside(branch: Any, step: str | int) -> Iterator[Any]:
    """The alternatives of a key of a spec or dict, or of an item of a list."""
    if _is_model(branch):
        field = branch.model_fields.get(step)
        if field is not None:
            yield from _branches(field.annotation)
    elif typing.get_origin(branch) is dict:
        yield from _branches(typing.get_args(branch)[1])
    elif typing.get_origin(branch) in (list, tuple):
        yield from _branches(typing.get_args(branch)[0])


def _branches(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, without what it is wrapped in: `int | None` has one."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _branches(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (None, dict, list, tuple, typing.Literal):
        if annotation not in (None, type(None), Any):
            yield annotation
    else:
        for argument in typing.get_args(annotation):
            yield from _branches(argument)


def _is_model(branch: Any) -> bool:
    return typing.get_origin(branch) is None and isinstance(branch, type) and issubclass(branch, BaseModel)


def _models(branches: list[Any]) -> list[type[BaseModel]]:
    return [branch for branch in branches if _is_model(branch)]


def _narrowed(branches: list[Any], node: Node | None, key: str | int, types: PartTypes) -> list[Any]:
    """The registered class of a part, or the member of a union that the discriminating value names."""
    if not isinstance(node, Mapping):
        return branches
    type_node = node.get("type")
    name = type_node.value if isinstance(type_node, Scalar) else None
    is_part = any(issubclass(model, PartSpec) for model in _models(branches))
    if is_part and key in PART_KINDS and isinstance(name, str):
        try:
            return [types.spec_class(str(key), name)]
        except RegistryError:
            return []
    chosen = [model for model in _models(branches) if _admits(model, node)]
    return chosen or branches


def _admits(spec_class: type[BaseModel], node: Mapping) -> bool:
    """True unless a Literal field of the class contradicts the mapping."""
    for name, field in spec_class.model_fields.items():
        allowed = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
        written = node.get(name)
        if allowed and (not isinstance(written, Scalar) or written.value not in allowed):
            return False
    return True
