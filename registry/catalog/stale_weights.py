"""Weights that a document inherits, and that no longer fit the backbone that it sets."""

from __future__ import annotations

from collections.abc import Iterator

from registry.catalog.check import Checker
from registry.catalog.documents import Document
from registry.catalog.resolve import Resolver
from registry.diagnostics import Diagnostic, Related
from registry.source import Mapping, Scalar
from registry.specs import BackboneSpec, ModelSpec, Spec

_KEYS = {
    "weights": "write `weights: null` and `default_weights: null`, or your own",
    "backbone_weights": "write null, or your own",
}


def stale_weights(
    document: Document, spec: Spec, root: Mapping, resolver: Resolver, checker: Checker
) -> Iterator[Diagnostic]:
    """Warnings about weights of an ancestor whose backbone has other channels than the one that the document sets."""
    place = document.node.entries.get("backbone")
    if place is None or not isinstance(spec, ModelSpec) or "REG214" in spec.accepts:
        return
    for key, hint in _KEYS.items():
        inherited = root.entries.get(key)
        if inherited is None or key in document.node.entries:
            continue
        if isinstance(inherited.node, Scalar) or (isinstance(inherited.node, Mapping) and not inherited.node.entries):
            continue
        owner = next((layer for layer in reversed(resolver.ancestors(document)) if key in layer.node.entries), None)
        before = checker.check(owner, resolver.resolve(owner))[0] if owner is not None else None
        if owner is not None and isinstance(before, ModelSpec) and _layout(before.backbone) != _layout(spec.backbone):
            text = f"`{key}` of `{owner.name}` are inherited, and do not fit this backbone, whose channels are others"
            note = Related(f"`{key}` of `{owner.name}`", inherited.key_span)
            yield Diagnostic("REG214", "warning", text, place.key_span, hint, (note,))


def _layout(backbone: BackboneSpec) -> tuple[object, ...]:
    """What decides, as far as it is declared, whether weights fit: strides and input channels do not."""
    return backbone.type, *(feature.channels for feature in backbone.feature_maps())
