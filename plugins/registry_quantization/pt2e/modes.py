"""Operators of a captured graph that have two modes, and batch norms, whose settings torchao does not keep."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn
from torch.fx import GraphModule, Node

from registry.errors import RegistryError

#: Place of the flag that tells training from evaluation, among the arguments of operators that have two modes.
_FLAGS = {"aten.batch_norm": 5, "aten.dropout": 2, "aten.dropout_": 2, "aten.feature_dropout": 2}
#: Epsilon that torchao takes for a batch norm's.
_EPSILON = 1e-5


def set_mode(graph: GraphModule, training: bool) -> None:
    """Sets the flags of batch norms and dropouts; batch norms that were frozen stay in eval mode."""
    frozen = graph.__dict__.get("frozen_norms", False)
    for node, place in _flagged(graph):
        arguments = list(node.args)
        if place < len(arguments):
            arguments[place] = training and not (frozen and "batch_norm" in str(node.target))
            node.args = tuple(arguments)
    graph.recompile()


def _flagged(graph: GraphModule) -> Iterator[tuple[Node, int]]:
    for node in graph.graph.nodes:
        place = _FLAGS.get(str(node.target).rpartition(".")[0]) if node.op == "call_function" else None
        if place is not None:
            yield node, place


def _norms_of(graph: GraphModule) -> Iterator[tuple[Node, list[Node]]]:
    """Each batch norm with the sums of its variance and epsilon, by which torchao scales weights."""
    for node in graph.graph.nodes:
        if node.op == "call_function" and str(node.target).startswith("aten.batch_norm"):
            sums = [user for user in node.args[4].users if str(user.target).startswith("aten.add")]
            yield node, sums


def restore_norms(graph: GraphModule, layer: Callable[[Node], str], norms: dict[str, nn.BatchNorm2d]) -> None:
    """Gives batch norms their own epsilon and momentum, which torchao replaces by the usual ones.

    Args:
        layer: name of the module that a node comes from.
        norms: of the model, by name.

    Raises:
        RegistryError: a batch norm of the graph is none of the model's.
    """
    for node, sums in _norms_of(graph):
        norm = norms.get(layer(node))
        if norm is None:
            raise RegistryError("a batch norm of the graph cannot be told: quantize the model after training")
        node.args = (*node.args[:6], norm.momentum, norm.eps, *node.args[8:])
        for each in sums:
            each.args = (each.args[0], norm.eps)
    graph.recompile()


def settle_norms(graph: GraphModule) -> None:
    """Moves what a batch norm's epsilon has over torchao's into its variance: when torchao folds norms it takes its own."""
    for node, sums in _norms_of(graph):
        arguments: Any = node.args
        variance: Any = operator.attrgetter(arguments[4].target)(graph)
        variance.data.add_(arguments[7] - _EPSILON)
        node.args = (*node.args[:7], _EPSILON, *node.args[8:])
        for each in sums:
            each.args = (each.args[0], _EPSILON)
    graph.recompile()
