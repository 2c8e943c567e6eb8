"""The scheme `onnx`: static quantization for ONNX Runtime, of a model that was exported to ONNX in float."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from registry_export.common import Feed, feed, quiet, told
from registry_export.engines import EngineModule, require
from registry_export.onnx_files import graph
from registry_export.specs import OnnxSpec as OnnxTarget
from torch import nn

from registry.errors import RegistryError
from registry.modules.split import can_split, split_of
from registry_quantization.choice import BACKBONE, Choice, choose, inputs_of
from registry_quantization.dot_products import has_dot_products
from registry_quantization.onnx_runtime.effects import output_signals, too_noisy
from registry_quantization.onnx_runtime.layers import name_nodes, scope_of
from registry_quantization.onnx_runtime.ranges import Range, find_ranges
from registry_quantization.onnx_runtime.rounding import Plan, is_hard_swish, plan, rounded
from registry_quantization.onnx_runtime.shortening import shorten_names
from registry_quantization.signal import layers_of
from registry_quantization.specs import OnnxSpec

#: Nodes beside layers that ONNX Runtime has integer kernels for.
_OTHERS = ("Add", "Mul", "GlobalAveragePool", "AveragePool", "MaxPool", "Concat")


def quantize(spec: OnnxSpec, model: nn.Module, batches: Any) -> EngineModule:
    """Quantizes after training; see `Registrar.quantization`.

    Returns:
        a module that runs the ONNX file, with `spec`, `quantization`, and `float_layers`, the names of layers that stayed
        float.

    Raises:
        RegistryError: nothing to calibrate with, nothing to quantize, a layer that is not found in the ONNX graph, or the model
            cannot be exported.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    onnx: Any = require("onnx", "onnx", "quantizing for ONNX Runtime")
    require("onnxruntime", "onnx", "quantizing for ONNX Runtime")
    inputs = inputs_of(spec, batches)
    model.eval()
    target = OnnxTarget()
    fed = feed(target, model, inputs[0][:1])
    choice = choose(spec, model, inputs)
    float_model = _prepared(onnx, target, model, _exported(target, model, fed))
    ran = {signal.name for signal in choice.signals}
    named = name_nodes(onnx, float_model.graph, layers_of(model), choice.quantized, ran)
    pictures = _pictures(fed, inputs)
    with told(target, model):
        planned, ranges = _planned(spec, onnx, model, float_model, named, choice, pictures)
        made = rounded(
            onnx,
            float_model,
            planned,
            ranges,
            per_channel=spec.per_channel,
            symmetric=spec.symmetric,
            reduce_range=not has_dot_products() if spec.reduce_range is None else spec.reduce_range,
        )
    shorten_names(made.graph)
    rounded_layers = {named[node] for node in planned.nodes if node in named}
    left = tuple(
        name for name in layers_of(model) if name in choice.left or (name in ran and name not in rounded_layers)
    )
    return _finished(spec, model, fed, made.SerializeToString(), left)


def _planned(
    spec: OnnxSpec, onnx: Any, model: nn.Module, found: Any, named: dict[str, str], choice: Choice, pictures: list[Any]
) -> tuple[Plan, dict[str, Range]]:
    """What is rounded, and to which ranges."""
    chosen = {node for node, layer in named.items() if layer in choice.quantized}
    others = _others(spec, onnx, model, found.graph) if spec.operations == "all" else set()

    def ranges_of(bounds: dict[str, Range]) -> dict[str, Range]:
        if not bounds:
            return {}
        return find_ranges(onnx, found, bounds, pictures, spec.ranges, around_zero=spec.symmetric)

    planned = plan(found.graph, chosen, others)
    ranges = ranges_of(planned.bounds)
    outputs = _compared(not can_split(model), found.graph, named)
    if spec.least_output_signal is None or not outputs:
        return planned, ranges
    signals = output_signals(onnx, found, planned, ranges, outputs, pictures)
    noisy = too_noisy(planned, signals, spec.least_output_signal)
    if not noisy:
        return planned, ranges
    noisy_layers = {named[node] for node in noisy if node in named}  # a layer that is called several times is one
    chosen = {node for node in chosen if named[node] not in noisy_layers}
    if not chosen:
        raise RegistryError(
            f"every layer would stay float: rounding the cleanest tensor leaves {max(signals.values()):.1f} dB of the model's "
            "outputs; lower quantization.least_output_signal"
        )
    fewer = plan(found.graph, chosen, others - set(noisy))
    known = {name: ranges[name] for name, bounds in fewer.bounds.items() if planned.bounds.get(name) == bounds}
    new = {name: bounds for name, bounds in fewer.bounds.items() if name not in known}
    return fewer, known | ranges_of(new)


def _compared(whole: bool, found: Any, named: dict[str, str]) -> list[str]:
    """Names of tensors that tell what rounding does: the outputs, or a detector's convolutions behind its backbone."""
    if whole:
        return [each.name for each in found.output]
    return [
        node.output[0]
        for node in found.node
        if node.op_type == "Conv" and node.name in named and not named[node.name].startswith(f"{BACKBONE}.")
    ]


def _exported(target: OnnxTarget, model: nn.Module, fed: Feed) -> bytes:
    """The float model. Tracing comes first: it is faster, and names nodes by modules."""
    try:
        return graph(target, model, fed, "trace")
    except RegistryError:
        if fed.takes == "images":
            raise
        return graph(target, model, fed, "export")


def _prepared(onnx: Any, target: OnnxTarget, model: nn.Module, data: bytes) -> Any:
    """The model with constants and batch norms folded, and types of tensors told."""
    with tempfile.TemporaryDirectory(prefix="registry-onnx-") as folder, told(target, model):
        tool: Any = require("onnxruntime.quantization", "onnx", "quantizing for ONNX Runtime")
        file = Path(folder) / "model.onnx"
        tool.quant_pre_process(onnx.load_from_string(data), file, skip_symbolic_shape=True)
        return onnx.load(file)


def _pictures(fed: Feed, inputs: Sequence[Any]) -> list[Any]:
    """The inputs of single pictures, as the exported model takes them."""
    tensors: list[torch.Tensor] = [
        each for batch in inputs for each in (batch.split(1) if fed.takes == "batch" else batch)
    ]
    return [np.ascontiguousarray(each.detach().cpu().numpy()) for each in tensors]


def _others(spec: OnnxSpec, onnx: Any, model: nn.Module, found: Any) -> set[str]:
    """Names of nodes beside layers that are quantized: of a detector those of the parts that are in reach."""
    gates = {node.output[0]: node for node in found.node if node.op_type == "HardSigmoid"}
    kinds = {each.name: each.type.tensor_type.elem_type for each in (*found.value_info, *found.input, *found.output)}
    kinds |= {each.name: each.data_type for each in found.initializer}
    return {
        node.name
        for node in found.node
        if node.op_type in _OTHERS
        and all(kinds.get(name) == onnx.TensorProto.FLOAT for name in (*node.input, *node.output))
        and _in_reach(spec, model, scope_of(node))
        and not (node.op_type == "Mul" and is_hard_swish(node, gates))
    }


def _in_reach(spec: OnnxSpec, model: nn.Module, scope: str) -> bool:
    """Whether what a module computes beside its layers may be quantized."""
    if not can_split(model):
        return True
    if spec.scope == BACKBONE:
        return f"{scope}.".startswith(f"{BACKBONE}.")
    reached = {id(module) for part in split_of(model).parts.values() for module in part.modules()}
    return id(dict(model.named_modules()).get(scope)) in reached and bool(scope)


def _finished(spec: OnnxSpec, model: nn.Module, fed: Feed, data: bytes, left: tuple[str, ...]) -> EngineModule:
    module = EngineModule(
        "onnx",
        data,
        outputs=fed.outputs,
        takes="images" if fed.takes == "images" else "batch",
        spec=getattr(model, "spec", None),
        quantization=spec,
    )
    module.__dict__["float_layers"] = left
    try:
        with quiet():
            _ = module.session
    except Exception as error:  # of the engine's own types
        text = " ".join(str(error).split())[:300]
        raise RegistryError(f"ONNX Runtime cannot run the quantized model: {type(error).__name__}: {text}") from error
    return module
