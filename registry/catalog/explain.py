"""Where each value of a resolved document comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from registry.catalog.placing import OVERRIDES
from registry.catalog.translate import locate
from registry.errors import PluginError
from registry.source import Mapping, Node, Scalar, Sequence, Span, plain
from registry.specs import BackboneSpec, FeatureMap, FiguresSpec, HeadSpec, ModelSpec, Spec, TaskSpec

#: Keys and indices that lead to a value of a document.
Keys = tuple[str | int, ...]


class Setting(NamedTuple):
    """One value of a merged document.

    Attributes:
        path: keys and indices that lead to it.
        value: a scalar, or a list or mapping that stands on one line of its file.
        span: the place that set it.
    """

    path: Keys
    value: object
    span: Span


class Default(NamedTuple):
    """One value that no document wrote: a scalar, a list of scalars, or something empty."""

    path: Keys
    value: object


class Explanation(NamedTuple):
    """A resolved document: its spec, every setting with its origin, and the feature maps of its backbone.

    Attributes:
        root: the merged nodes that the spec was read from.
    """

    kind: str
    name: str
    spec: Spec
    settings: tuple[Setting, ...]
    features: tuple[FeatureMap, ...]
    root: Mapping

    def defaults(self) -> tuple[Default, ...]:
        """Every value of the spec that nobody wrote, or wrote as null where null stands for the default."""
        return tuple(_defaults(self.spec, ()))

    def figures(self) -> FiguresSpec | None:
        """The document's published figures; None where they are no model's, or an override made another model of it."""
        if not isinstance(self.spec, ModelSpec):
            return None
        parts = (self.root.entries.get(key) for key in ("task", "backbone", "head"))
        overridden = any(_is_override(e.key_span) or _has_override(e.node) for e in parts if e is not None)
        return None if overridden else self.spec.figures

    def num_classes(self) -> int | None:
        """The class count of a model or head."""
        head = self.spec.head if isinstance(self.spec, ModelSpec) else self.spec
        return head.num_classes if isinstance(head, HeadSpec) else None

    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels to which a model's task, or else its head, brings images; None where neither does.

        Raises:
            PluginError: the arithmetic of the task or head fails.
        """
        parts = (self.spec.task, self.spec.head) if isinstance(self.spec, ModelSpec) else (self.spec,)
        for part in parts:
            if isinstance(part, (TaskSpec, HeadSpec)):
                try:
                    size = part.image_size()
                except Exception as error:  # a plugin's arithmetic
                    text = f"image_size() of `{part.type}` failed: {type(error).__name__}: {error}"
                    raise PluginError(text) from error
                if size is not None:
                    return size
        return None

    def origin(self, path: Keys) -> Span | None:
        """The place that set the value at a path of the spec; None where it stands at its default.

        What a word stands for, such as the parts of a variant given by its name, comes from where the word is.
        """
        value: Any = self.spec
        node: Node | None = self.root
        found: list[str | int] = []
        for step in path:
            if isinstance(value, BaseModel) and step in type(value).model_fields and step not in value.model_fields_set:
                return None
            former = [old for old, new in getattr(value, "renamed_keys", {}).items() if new.name == step]
            key = next((key for key in (step, *former) if _below(node, key) is not None), step)
            value, node = _inside(value, step), _below(node, key)
            if node is not None:
                found.append(key)
        return locate(self.root, found).span if found else None


def explanation(kind: str, name: str, root: Mapping, spec: Spec) -> Explanation:
    """Explains a resolved document whose spec is known to be valid."""
    backbone = spec.backbone if isinstance(spec, ModelSpec) else spec
    features: tuple[FeatureMap, ...] = ()
    if isinstance(backbone, BackboneSpec):
        try:
            features = backbone.feature_maps()
        except Exception as error:  # a plugin's arithmetic
            raise PluginError(f"feature_maps() of `{backbone.type}` failed: {type(error).__name__}: {error}") from error
    return Explanation(kind, name, spec, tuple(_settings(root, ())), features, root)


def _settings(node: Node, path: Keys) -> Iterator[Setting]:
    if isinstance(node, Scalar) or _is_row(node):
        yield Setting(path, plain(node), node.span)
    elif isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from _settings(entry.node, (*path, key))
    else:
        for index, item in enumerate(node.items):
            yield from _settings(item, (*path, index))


def _is_row(node: Node) -> bool:
    """A collection written on one line, such as a row of a table, all of it from that line."""
    if isinstance(node, Scalar):
        return False
    children = [entry.node for entry in node.entries.values()] if isinstance(node, Mapping) else list(node.items)
    one_line = node.span.line == node.span.end_line
    return one_line and all(
        (isinstance(child, Scalar) or _is_row(child))
        and child.span.source is node.span.source
        and child.span.line == node.span.line
        for child in children
    )


def _defaults(value: Any, path: Keys, *, written: bool = True) -> Iterator[Default]:
    if isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _defaults(getattr(value, key), (*path, key), written=written and key in value.model_fields_set)
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _defaults(item, (*path, key), written=written)
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (BaseModel, dict)) for item in value):
        for index, item in enumerate(value):
            yield from _defaults(item, (*path, index), written=written)
    elif not written:
        yield Default(path, to_jsonable_python(value))


def _inside(value: Any, step: str | int) -> Any:
    """What a key or an index leads to in a typed value; None where it leads nowhere."""
    if isinstance(step, int):
        return value[step] if isinstance(value, (list, tuple)) and step < len(value) else None
    return value.get(step) if isinstance(value, dict) else getattr(value, step, None)


def _below(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, Mapping):
        return node.get(str(step))
    if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def _has_override(node: Node) -> bool:
    """True if an override set a node or anything in it."""
    if isinstance(node, Mapping):
        below = any(_is_override(e.key_span) or _has_override(e.node) for e in node.entries.values())
        return below or _is_override(node.span)
    return _is_override(node.span) or (isinstance(node, Sequence) and any(map(_has_override, node.items)))


def _is_override(span: Span) -> bool:
    return span.file in OVERRIDES


def file_of(root: Mapping, path: Iterable[str]) -> str:
    """The file that wrote the setting of a resolved document to which `path` leads."""
    node: Node | None = root
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return (node or root).span.file


def dotted(path: Keys) -> str:
    """`backbone.blocks.3.stride`: the form that overrides take."""
    return ".".join(map(str, path))
