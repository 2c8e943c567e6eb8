"""Short names for the tensors of an ONNX graph: in a file of integers their long ones are a fiftieth of the size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def shorten_names(graph: Any) -> None:
    """Numbers the tensors between nodes, and the constants. Nodes, inputs, outputs, and what branches use keep their names.

    Args:
        graph: changed in place.
    """
    kept = {"", *(each.name for each in (*graph.input, *graph.output)), *_within_branches(graph)}
    tensors = [name for node in graph.node for name in node.output] + [each.name for each in graph.initializer]
    short = {name: f"t{index}" for index, name in enumerate(dict.fromkeys(tensors)) if name not in kept}
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = short.get(name, name)
    for each in graph.initializer:
        each.name = short.get(each.name, each.name)
    del graph.value_info[:]  # shapes, which the engine works out


def _within_branches(graph: Any) -> Iterator[str]:
    """Every name that a graph inside of a node uses."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                for each in inner.node:
                    yield from (*each.input, *each.output)
                yield from (each.name for each in (*inner.output, *inner.initializer))
                yield from _within_branches(inner)
