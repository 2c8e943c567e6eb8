"""Which nodes of an ONNX graph are which layers: told by weights, and by names where layers have the same weights.

Source: ONNX's `Conv`, `Gemm` and `MatMul`, and how torch's two exporters name nodes. Folding a batch norm multiplies each
output channel of the weights by a number, so that a layer is known by the directions of its channels.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import nn

from registry.errors import RegistryError
from registry_quantization.by_weights import Weight, layers_with, rows

#: Types of nodes that layers become.
KINDS = ("Conv", "Gemm", "MatMul")
#: Key under which the exporter by `torch.export` tells the modules that a node comes from.
_SCOPES = "pkg.torch.onnx.name_scopes"
#: Name that the exported module gives the model.
_MODEL = "model"


def name_nodes(
    onnx: Any, graph: Any, layers: Mapping[str, nn.Module], chosen: Collection[str], ran: Collection[str]
) -> dict[str, str]:
    """Finds the layers' nodes, of which each gets a name of its own.

    Args:
        onnx: the package.
        graph: of the float model, with weights as initialisers.
        layers: by name; each may be called several times, or not at all.
        chosen: names of layers that are quantized.
        ran: names of layers that must be found.

    Returns:
        the layer's name by the node's name. Nodes of no layer are left out.

    Raises:
        RegistryError: a layer is not found, or several have the same weights and only some of them are chosen.
    """
    _name_all(graph)
    known = {name: rows(layer.weight.detach().cpu().numpy()) for name, layer in layers.items()}  # type: ignore[operator]  # a tensor
    told: dict[str, str] = {}
    for node, weight in _with_weights(onnx, graph):
        fitting = layers_with(weight, known)
        if fitting:
            told[node.name] = fitting[0] if len(fitting) == 1 else _one_of(node, fitting, told, chosen)
    missing = [name for name in layers if name in ran and name not in told.values()]
    if missing:
        raise RegistryError(
            f"{len(missing)} layers of the model were not found in its ONNX graph, `{missing[0]}` the first: its weights are "
            "no constant of it; do not compute weights in forward()"
        )
    return told


def scope_of(node: Any) -> str:
    """Name in the model of the module whose `forward` a node comes from; empty where its own name does not tell."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            scopes = [each for each in ast.literal_eval(entry.value)[:-1] if each]
            return (scopes[-1] if scopes else "").removeprefix(_MODEL).removeprefix(".")
    parts = [re.sub(r"_\d+$", "", part) for part in node.name.split("/")[1:-1]]
    if parts[:1] != [_MODEL]:
        return ""
    # a child of a container bears the container's name again: `features/features.0/features.0.1`
    named = [
        part.removeprefix(f"{before}.") for before, part in zip(["", *parts[1:-1]], parts[1:], strict=len(parts) > 1)
    ]
    return ".".join(named)


def _name_all(graph: Any) -> None:
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}#{index}"
        taken.add(node.name)


def _with_weights(onnx: Any, graph: Any) -> Iterator[tuple[Any, Weight]]:
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type not in KINDS or node.input[1] not in constants:
            continue
        weight = onnx.numpy_helper.to_array(constants[node.input[1]])
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        if node.op_type == "MatMul" or (node.op_type == "Gemm" and not turned):
            if weight.ndim != 2:
                continue
            weight = weight.T
        yield node, rows(weight)


def _one_of(node: Any, fitting: list[str], told: Mapping[str, str], chosen: Collection[str]) -> str:
    """The layer among several of the same weights: the one that names tell, or any where it makes no difference."""
    names = (scope_of(node), node.input[1].removeprefix(f"{_MODEL}.").removesuffix(".weight"))
    for name in names:
        if name in fitting:
            return name
    if len({name in chosen for name in fitting}) > 1:
        raise RegistryError(
            f"the layers {', '.join(fitting[:4])} have the same weights, so that they cannot be told apart in the ONNX graph, "
            "and only some of them are to be quantized; name all or none of them in quantization.float_modules"
        )
    taken = set(told.values())
    return next((name for name in fitting if name not in taken), fitting[0])
