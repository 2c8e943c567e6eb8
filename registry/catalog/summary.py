"""What a listing says of a model, read from its merged document without validating it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from registry.catalog.documents import Document
from registry.source import Mapping, Node, Scalar


class Summary(NamedTuple):
    """One line of a listing.

    Attributes:
        task: type of its task; empty if the document cannot be resolved.
        parameters, macs: published figures, or None.
        weights: names of its published weights.
        metric: name and value of the first metric of its default weights, or of its first ones; None without, and of a model
            that is quantized, as published metrics are those of the float one.
        distribution: who ships it.
        problem: why the document cannot be resolved, or None.
    """

    name: str
    task: str
    summary: str
    aliases: tuple[str, ...]
    parameters: int | None
    macs: float | None
    weights: tuple[str, ...]
    metric: tuple[str, float] | None
    distribution: str
    file: str
    problem: str | None = None


def summarize(document: Document, root: Mapping | None, problem: str | None = None) -> Summary:
    """The summary of a document whose merged form is `root`, or of one that has a problem."""
    return Summary(
        name=document.name,
        task=str(_at(root, "task", "type") or ""),
        summary=document.text("summary"),
        aliases=document.names[1:],
        parameters=_number(_at(root, "figures", "parameters"), int),
        macs=_number(_at(root, "figures", "macs"), float),
        weights=tuple(_weights(root)),
        metric=_metric(root),
        distribution=document.origin.distribution if document.origin else "",
        file=document.file,
        problem=problem,
    )


def _at(node: Node | None, *path: str) -> Any:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node.value if isinstance(node, Scalar) else None


def _weights(root: Mapping | None) -> dict[str, Node]:
    found = root.get("weights") if root is not None else None
    return {name: entry.node for name, entry in found.entries.items()} if isinstance(found, Mapping) else {}


def _metric(root: Mapping | None) -> tuple[str, float] | None:
    if root is None or isinstance(root.get("quantization"), Mapping):
        return None
    weights = _weights(root)
    chosen = weights.get(str(_at(root, "default_weights")), next(iter(weights.values()), None))
    metrics = chosen.get("metrics") if isinstance(chosen, Mapping) else None
    for name in metrics.entries if isinstance(metrics, Mapping) else ():
        value = _number(_at(metrics, name), float)
        if value is not None:
            return name, value
    return None


def _number(value: Any, kind: type) -> Any:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None  # validating tells
    return kind(value)
