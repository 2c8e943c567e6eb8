"""Where each value of a resolved document comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.errors import PluginError
from registry.source import Mapping, Node, Scalar, Span, plain
from registry.specs import BackboneSpec, FeatureMap, ModelSpec, Spec


@dataclass(frozen=True)
class Setting:
    """One value of a merged document.

    Attributes:
        path: keys and indices that lead to it.
        value: a scalar, or a list or mapping that stands on one line of its file.
        span: the place that set it.
    """

    path: tuple[str | int, ...]
    value: object
    span: Span


@dataclass(frozen=True)
class Explanation:
    """A resolved document: its spec, every setting with its origin, and the feature maps of its backbone."""

    kind: str
    name: str
    spec: Spec
    settings: tuple[Setting, ...]
    features: tuple[FeatureMap, ...]


def explanation(kind: str, name: str, root: Mapping, spec: Spec) -> Explanation:
    """Explains a resolved document whose spec is known to be valid."""
    backbone = spec.backbone if isinstance(spec, ModelSpec) else spec
    features: tuple[FeatureMap, ...] = ()
    if isinstance(backbone, BackboneSpec):
        try:
            features = backbone.feature_maps()
        except Exception as error:  # a plugin's arithmetic
            raise PluginError(f"feature_maps() of `{backbone.type}` failed: {type(error).__name__}: {error}") from error
    return Explanation(kind, name, spec, tuple(_settings(root, ())), features)


def _settings(node: Node, path: tuple[str | int, ...]) -> Iterator[Setting]:
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


def dotted(path: tuple[str | int, ...]) -> str:
    """`backbone.blocks.3.stride`: the form that overrides take."""
    return ".".join(map(str, path))
