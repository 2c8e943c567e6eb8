"""Rounding in an ONNX graph: chosen nodes take and return integers, all else stays as it is.

Source: ONNX Runtime's `QDQQuantizer`. It rounds tensors for all that take them; a node that is to be rounded gets its input by
a node of its own, so that float nodes beside it keep theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from registry_export.common import quiet
from registry_export.engines import require

from registry_quantization.onnx_runtime.ranges import Range

#: Activations that integers run through as they are, and which ONNX Runtime does by clipping.
CLIPPING = ("Relu", "Clip")
#: Values beyond which an activation changes nothing.
_HARD_SWISH, _HARD_SIGMOID = (-3.0, float("inf")), (-3.0, 3.0)
_ALL: Range = (-float("inf"), float("inf"))
#: Kinds whose outputs ONNX Runtime's integer kernels return in float.
_FLOAT_OUTPUTS = ("Gemm", "MatMul")
#: What tells ONNX Runtime that types are known.
_INFERRED = ("onnx.infer", "onnxruntime.quant")


@dataclass
class Plan:
    """What is rounded.

    Attributes:
        nodes: names of nodes that are quantized; activations that are done by clipping are among them.
        bounds: of the tensors that are rounded, values beyond which nothing matters.
        inputs: names of tensors that are rounded for quantized nodes alone.
        same: tensors before a clipping activation, by the name of what comes out of it.
        touching: names of the nodes that take or return a tensor as integers, activations left out.
    """

    nodes: set[str] = field(default_factory=set)
    bounds: dict[str, Range] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    same: dict[str, str] = field(default_factory=dict)
    touching: dict[str, set[str]] = field(default_factory=dict)


def plan(graph: Any, chosen: Collection[str], others: Collection[str]) -> Plan:
    """Decides which tensors are rounded.

    Args:
        chosen: names of the nodes of layers.
        others: names of other nodes whose inputs and outputs are rounded too.
    """
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    made = Plan(nodes={*chosen, *others})
    constants, results = {each.name for each in graph.initializer}, {each.name for each in graph.output}
    for node in graph.node:
        if node.name not in made.nodes or node.op_type in _FLOAT_OUTPUTS:
            continue
        output, taken = node.output[0], users.get(node.output[0], [])
        if len(taken) == 1 and taken[0].op_type in CLIPPING and output not in results:
            made.same[taken[0].output[0]] = output
            made.nodes.add(taken[0].name)
            output, taken = taken[0].output[0], users.get(taken[0].output[0], [])
        made.bounds[output] = _ALL if output in results else _bounds(taken)
        made.touching.setdefault(output, set()).add(node.name)
    for node in graph.node:
        if node.name in made.nodes and node.op_type not in CLIPPING:
            for name in [*node.input] if node.name in others else [node.input[0]]:
                if name in constants:
                    continue
                if name not in made.bounds:
                    made.bounds[name] = _ALL
                    made.inputs.add(name)
                made.touching.setdefault(name, set()).add(node.name)
    return made


def is_hard_swish(product: Any, gates: Mapping[str, Any]) -> bool:
    """True for a product of a tensor with its own hard sigmoid, as which ONNX Runtime writes a hard swish.

    Args:
        gates: nodes of hard sigmoids by the name of what comes out of them.
    """
    first, second = product.input[:2]
    return any(gate in gates and gates[gate].input[0] == value for value, gate in ((first, second), (second, first)))


def _bounds(users: Sequence[Any]) -> Range:
    """Values beyond which all that take a tensor give the same."""
    gates = {user.output[0]: user for user in users if user.op_type == "HardSigmoid"}
    products = [user for user in users if user.op_type == "Mul" and is_hard_swish(user, gates)]
    swishes = [user for user in users if user.op_type == "HardSwish"]
    if not users or len(gates) + len(products) + len(swishes) < len(users):
        return _ALL
    return _HARD_SWISH if products or swishes else _HARD_SIGMOID


def rounded(
    onnx: Any,
    model: Any,
    planned: Plan,
    ranges: Mapping[str, Range],
    *,
    per_channel: bool,
    symmetric: bool,
    reduce_range: bool,
) -> Any:
    """The model with integers where they are planned.

    Args:
        onnx: the package.
        model: float.
        ranges: of the planned tensors.
        symmetric: inputs are int8 around zero, and not uint8.
        reduce_range: weights have seven bits.
    """
    own = onnx.ModelProto()
    own.CopyFrom(model)
    apart = _set_apart(onnx, own.graph, planned)
    found = {apart.get(name, name): each for name, each in ranges.items()}
    found |= {before: ranges[after] for after, before in planned.same.items()}
    there = {each.name for each in own.graph.value_info}
    own.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in found if name not in there
    )
    if all(entry.key != _INFERRED[0] for entry in own.metadata_props):
        entry = own.metadata_props.add()
        entry.key, entry.value = _INFERRED
    with quiet():
        tool: Any = require("onnxruntime.quantization", "onnx", "quantizing for ONNX Runtime")
        quantizer = tool.QDQQuantizer(
            own,
            per_channel,
            reduce_range,
            tool.QuantType.QInt8,
            tool.QuantType.QInt8 if symmetric else tool.QuantType.QUInt8,
            tool.TensorsData(tool.CalibrationMethod.MinMax, {name: _data(tool, each) for name, each in found.items()}),
            sorted(planned.nodes),
            [],
            sorted({node.op_type for node in own.graph.node if node.name in planned.nodes}),
            {"OpTypesToExcludeOutputQuantization": list(_FLOAT_OUTPUTS), "ActivationSymmetric": symmetric},
        )
        quantizer.quantize_model()
    made = quantizer.model.model
    _join(made.graph, set(apart.values()))
    del made.metadata_props[:]
    return made


def _data(tool: Any, found: Range) -> Any:
    low, high = (np.array(each, dtype=np.float32) for each in found)
    return tool.TensorData(lowest=low, highest=high)


def _set_apart(onnx: Any, graph: Any, planned: Plan) -> dict[str, str]:
    """Gives the planned inputs to quantized nodes by nodes of their own; returns the new names."""
    apart = {name: f"{name}/apart" for name in sorted(planned.inputs)}
    nodes = list(graph.node)
    copies = {name: onnx.helper.make_node("Identity", [name], [new], f"{new}#node") for name, new in apart.items()}
    del graph.node[:]
    for node in nodes:
        if node.name in planned.nodes:
            for index, name in enumerate(node.input):
                if name in apart:
                    if name in copies:
                        graph.node.append(copies.pop(name))
                    node.input[index] = apart[name]
        graph.node.append(node)
    return apart


def _join(graph: Any, apart: Collection[str]) -> None:
    """Takes the nodes of `_set_apart` out again."""
    copies = {node.output[0]: node for node in graph.node if node.op_type == "Identity" and node.output[0] in apart}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in copies:
                node.input[index] = copies[name].input[0]
    for node in copies.values():
        graph.node.remove(node)
