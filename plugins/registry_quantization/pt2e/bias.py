"""Weights with steps so wide that biases fit into 32 bits.

XNNPACK keeps a bias as a whole number of steps of input times weight, 32 bits wide. Where the input was zero on every picture,
or a channel's weights are, the step is so small that the bias is cut off, and with it all of the model's accuracy. With wider
steps the weights are coarser by less than the bias itself is.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.fx import GraphModule, Node

#: Most steps of a bias, half of what fits.
_MOST = 2.0**30
_LAYERS = ("aten.conv2d", "aten.linear")
_INPUT, _WEIGHT = "quantized_decomposed.dequantize_per_tensor", "quantized_decomposed.dequantize_per_channel"


def make_room(graph: GraphModule) -> None:
    """Widens steps of weights where they are too small for the bias, in place.

    Args:
        graph: converted, in integers.
    """
    for node in graph.graph.nodes:
        if node.op != "call_function" or not str(node.target).startswith(_LAYERS) or len(node.args) < 3:
            continue
        given, weight, bias = node.args[:3]
        if _is(given, _INPUT) and isinstance(given.args[1], float) and _is(bias, "") and bias.op == "get_attr":
            _widen(graph, weight, operator.attrgetter(bias.target)(graph), given.args[1])


def _is(node: Any, name: str) -> bool:
    return isinstance(node, Node) and str(node.target).startswith(name)


def _widen(graph: GraphModule, weight: Any, bias: torch.Tensor, step: float) -> None:
    least = bias.detach().abs().double() / (step * _MOST)
    if _is(weight, _INPUT) and isinstance(weight.args[1], float):
        old: Any = torch.tensor(weight.args[1], dtype=torch.float64)
        new = torch.maximum(old, least.max())
        if bool(new > old):
            integers = operator.attrgetter(weight.args[0].target)(graph)
            integers.data.copy_((integers.double() * (old / new)).round())
            weight.args = (weight.args[0], float(new), *weight.args[2:])
    elif _is(weight, _WEIGHT):
        integers, scales = (operator.attrgetter(each.target)(graph) for each in weight.args[:2])
        new = torch.maximum(scales.double(), least)
        if bool((new > scales).any()):
            shape = [-1] + [1] * (integers.dim() - 1)
            integers.data.copy_((integers.double() * (scales.double() / new).reshape(shape)).round())
            scales.data.copy_(new)
