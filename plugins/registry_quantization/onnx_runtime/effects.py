"""What rounding a tensor of an ONNX graph does to the model's outputs, all else in float.

A layer's own signal-to-noise ratio does not tell it: where a channel is nearly constant, what comes behind works on the little
that changes, of which rounding leaves less.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry_quantization.onnx_runtime.ranges import Range, started
from registry_quantization.onnx_runtime.rounding import Plan

#: Pictures on which outputs are compared, spread over those that are given.
_PICTURES = 4
#: Steps between the least and the greatest integer of eight bits.
_STEPS = 255


def output_signals(
    onnx: Any,
    model: Any,
    planned: Plan,
    ranges: Mapping[str, Range],
    outputs: Sequence[str],
    pictures: Sequence[NDArray[np.float32]],
) -> dict[str, float]:
    """Signal-to-noise ratio of the outputs in decibels, by the tensor that is rounded as planned.

    Args:
        onnx: the package.
        model: float.
        outputs: names of float tensors that are compared; noise is their mean, each as a share of its power.
        pictures: inputs of the model.
    """
    own = onnx.ModelProto()
    own.CopyFrom(model)
    del own.graph.output[:]
    own.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs)
    shown = pictures[:: -(-len(pictures) // _PICTURES)]
    exact = _run(own, outputs, shown)
    found = {}
    for name, each in ranges.items():
        if each[0] < each[1]:
            rounded = _with_rounding(onnx, own, name, each, planned)
            found[name] = _decibels(exact, _run(rounded, outputs, shown))
    return found


def _run(
    model: Any, outputs: Sequence[str], pictures: Sequence[NDArray[np.float32]]
) -> list[list[NDArray[np.float32]]]:
    session = started(model)
    given = session.get_inputs()[0].name
    return [session.run(list(outputs), {given: picture}) for picture in pictures]


def _with_rounding(onnx: Any, model: Any, name: str, found: Range, planned: Plan) -> Any:
    own = onnx.ModelProto()
    own.CopyFrom(model)
    scale = (found[1] - found[0]) / _STEPS
    own.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(scale, dtype=np.float32), f"{name}/scale"),
            onnx.numpy_helper.from_array(np.array(round(-found[0] / scale), dtype=np.uint8), f"{name}/zero"),
        ]
    )
    for node in own.graph.node:
        if name not in planned.inputs or node.name in planned.nodes:
            _replace(node, name, f"{name}/rounded")
    place = next((index for index, node in enumerate(own.graph.node) if name in node.output), -1) + 1
    settings = [f"{name}/scale", f"{name}/zero"]
    made = [
        onnx.helper.make_node("QuantizeLinear", [name, *settings], [f"{name}/integer"], f"{name}#round"),
        onnx.helper.make_node("DequantizeLinear", [f"{name}/integer", *settings], [f"{name}/rounded"], f"{name}#back"),
    ]
    for node in reversed(made):
        own.graph.node.insert(place, node)
    return own


def _replace(node: Any, name: str, new: str) -> None:
    for index, each in enumerate(node.input):
        if each == name:
            node.input[index] = new


def _decibels(exact: Sequence[Sequence[Any]], found: Sequence[Sequence[Any]]) -> float:
    shares = []
    for wanted, made in zip(zip(*exact, strict=True), zip(*found, strict=True), strict=True):
        pairs = [(one, two) for one, two in zip(wanted, made, strict=True) if one.shape == two.shape]
        power = sum(float(np.square(one, dtype=np.float64).sum()) for one, _ in pairs)
        error = sum(float(np.square(two - one, dtype=np.float64).sum()) for one, two in pairs)
        if power > 0:
            shares.append(error / power)
    share = sum(shares) / len(shares) if shares else 0.0
    return -10 * math.log10(share) if share > 0 else math.inf


def too_noisy(planned: Plan, signals: Mapping[str, float], least: float) -> Collection[str]:
    """Names of nodes that take or return a tensor whose rounding leaves less signal."""
    return {node for name, signal in signals.items() if signal < least for node in planned.touching[name]}
