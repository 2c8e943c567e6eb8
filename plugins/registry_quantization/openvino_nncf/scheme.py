"""The scheme `openvino`: NNCF's quantization after training, of a model that was converted to OpenVINO's form."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from registry_export.common import Feed, feed, quiet, told
from registry_export.engines import EngineModule, require
from registry_export.openvino_files import converted_model
from registry_export.specs import OpenVINOSpec as OpenVINOTarget
from torch import nn

from registry.errors import RegistryError
from registry_quantization.choice import Choice, choose, inputs_of
from registry_quantization.dot_products import has_dot_products
from registry_quantization.openvino_nncf.agreement import Agreement
from registry_quantization.openvino_nncf.layers import is_quantized, name_operations, operations
from registry_quantization.openvino_nncf.package import nncf
from registry_quantization.openvino_nncf.scope import ignored, join_patterns, part_patterns
from registry_quantization.signal import layers_of
from registry_quantization.specs import OpenVINOSpec


def quantize(spec: OpenVINOSpec, model: nn.Module, batches: Any) -> EngineModule:
    """Quantizes after training; see `Registrar.quantization`.

    Returns:
        a module that runs OpenVINO's file, with `spec`, `quantization`, and `float_layers`, the names of layers that stayed
        float; those that accuracy control put back are among them.

    Raises:
        RegistryError: nothing to calibrate with, nothing to quantize, a layer that is not found in OpenVINO's graph, or the
            model cannot be converted.
        MissingExtraError: openvino or nncf is not installed.
    """
    engine: Any = require("openvino", "openvino", "quantizing for OpenVINO")
    own = nncf()
    inputs = inputs_of(spec, batches)
    model.eval()
    fed = _fed(spec, model, inputs)
    choice = choose(spec, model, inputs)
    with told(OpenVINOTarget(), model):
        graph = converted_model(engine, OpenVINOTarget(), model, fed)
    part_patterns(engine, graph)
    names = name_operations(graph, layers_of(model), choice.quantized)
    _check_found(model, choice, names)
    pictures = [_array(picture) for batch in inputs for picture in _pictures(fed, batch)]
    try:
        with quiet(), torch.no_grad():
            made = _with_ranges(engine, own, spec, graph, names, choice, model, pictures)
    except RegistryError:
        raise
    except Exception as error:  # of NNCF's and OpenVINO's own types
        text = " ".join(str(error).split())[:300]
        raise RegistryError(f"NNCF cannot quantize the model: {type(error).__name__}: {text}") from error
    return _finished(engine, spec, model, fed, made, names, choice)


def _fed(spec: OpenVINOSpec, model: nn.Module, inputs: Sequence[Any]) -> Feed:
    fed = feed(OpenVINOTarget(), model, inputs[0][:1])
    if fed.takes == "images":
        own: Any = model.spec
        for finding in spec.only_tensors(own.name):
            raise RegistryError(
                f"quantization.{finding.path[0]}: {finding.message}; {finding.suggestion} [{finding.rule}]"
            )
    return fed


def _pictures(fed: Feed, batch: Any) -> list[torch.Tensor]:
    """The inputs of single pictures, as the converted model takes them."""
    return list(batch.split(1)) if fed.takes == "batch" else list(batch)


def _array(picture: torch.Tensor) -> Any:
    return np.ascontiguousarray(picture.detach().cpu().numpy())


def _check_found(model: nn.Module, choice: Choice, names: dict[str, str]) -> None:
    """Raises RegistryError where a layer that ran is none of the operations."""
    missing = sorted({signal.name for signal in choice.signals} - set(names.values()))
    if missing:
        raise RegistryError(
            f"{len(missing)} layers of the {type(model).__name__} were not found in OpenVINO's graph, `{missing[0]}` first: "
            "its weights are no constant of it; do not compute weights in forward()"
        )


def _with_ranges(engine: Any, own: Any, spec: OpenVINOSpec, *rest: Any) -> Any:
    """Quantizes; by quantiles where inputs of a layer lie too near each other for NNCF's histograms, which fail."""
    try:
        return _quantized(engine, own, spec, *rest)
    except ValueError as error:
        if spec.ranges != "histogram" or "bins" not in str(error):
            raise
        return _quantized(engine, own, spec.model_copy(update={"ranges": "quantile"}), *rest)


def _quantized(
    engine: Any,
    own: Any,
    spec: OpenVINOSpec,
    graph: Any,
    names: dict[str, str],
    choice: Choice,
    model: nn.Module,
    pictures: list[Any],
) -> Any:
    data = own.Dataset(pictures)
    settings: dict[str, Any] = {
        "preset": own.QuantizationPreset(spec.preset),
        "target_device": own.TargetDevice.CPU,
        "subset_size": len(pictures),
        "fast_bias_correction": spec.bias_correction != "full",
        "ignored_scope": own.IgnoredScope(names=ignored(spec, model, graph, names, choice.quantized)),
    }
    advanced = _advanced(own, spec)
    if spec.accuracy_drop is None:
        return own.quantize(graph, data, advanced_parameters=advanced, **settings)
    agreement = Agreement(engine.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), pictures)
    return own.quantize_with_accuracy_control(
        graph,
        data,
        own.Dataset(agreement.items),
        agreement,
        max_drop=spec.accuracy_drop,
        drop_type=own.DropType.ABSOLUTE,
        advanced_quantization_parameters=advanced,
        advanced_accuracy_restorer_parameters=own.AdvancedAccuracyRestorerParameters(num_ranking_workers=1),
        **settings,
    )


def _advanced(own: Any, spec: OpenVINOSpec) -> Any:
    advanced: Any = require("nncf.quantization.advanced_parameters", "openvino", "quantizing for OpenVINO")
    estimators: Any = require("nncf.quantization.range_estimator", "openvino", "quantizing for OpenVINO")
    ranges = {
        "histogram": estimators.RangeEstimatorParametersSet.HISTOGRAM,
        "quantile": estimators.RangeEstimatorParametersSet.MEAN_QUANTILE,
        "min_max": estimators.RangeEstimatorParametersSet.MINMAX,
    }
    half = not has_dot_products() if spec.half_range is None else spec.half_range
    return own.AdvancedQuantizationParameters(
        overflow_fix=own.OverflowFix.ENABLE if half else own.OverflowFix.DISABLE,
        disable_bias_correction=spec.bias_correction == "none",
        batchwise_statistics=False,
        activations_range_estimator_params=ranges[spec.ranges],
        weights_quantization_params=advanced.QuantizationParameters(per_channel=spec.per_channel),
    )


def _finished(
    engine: Any, spec: OpenVINOSpec, model: nn.Module, fed: Feed, made: Any, names: dict[str, str], choice: Choice
) -> EngineModule:
    rounded = {
        names[operation.get_friendly_name()]
        for operation in made.get_ops()
        if operation.get_friendly_name() in names and is_quantized(operation)
    }
    if not rounded:
        raise RegistryError(
            "every layer would stay float, as NNCF left or put back all of them; raise "
            "quantization.accuracy_drop, or set it to null"
        )
    join_patterns(made)
    for index, operation in enumerate(operations(made)):  # long names are a hundredth of a file of integers
        if operation.get_type_name() in ("Parameter", "Result"):
            continue
        if operation.get_friendly_name() not in names:
            operation.set_friendly_name(str(index))
        for output in operation.outputs():
            output.get_tensor().set_names(set())
    made.set_rt_info("", "nncf")
    with tempfile.TemporaryDirectory(prefix="registry-openvino-") as folder:
        file = Path(folder) / "model.xml"
        with quiet():
            engine.save_model(made, file, compress_to_fp16=False)
        data, weights = file.read_bytes(), file.with_suffix(".bin").read_bytes()
    module = EngineModule(
        "openvino",
        data,
        weights=weights,
        outputs=fed.outputs,
        takes="images" if fed.takes == "images" else "batch",
        spec=getattr(model, "spec", None),
        quantization=spec,
    )
    ran = set(names.values())
    left = {*choice.left, *(name for name in choice.quantized if name in ran and name not in rounded)}
    module.__dict__["float_layers"] = tuple(name for name in layers_of(model) if name in left)
    return module
