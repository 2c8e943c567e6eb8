"""The target `onnx`: a model in ONNX's form, for ONNX Runtime. What a detector does between its parts is in it too."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import KEY, Artefact, model_spec
from registry.errors import RegistryError
from registry_export.common import Feed, Flat, feed, read, refuse_engines, told, write
from registry_export.engines import EngineModule, require
from registry_export.forms import names_of
from registry_export.specs import OnnxSpec, OpenVINOSpec

_SUFFIX = ".onnx"


def export(spec: OnnxSpec, model: nn.Module, inputs: Any, path: str | os.PathLike[str]) -> None:
    """Writes the file.

    Raises:
        RegistryError: the model cannot be traced, holds an operator that ONNX lacks, or the file cannot be written.
        MissingExtraError: onnx is not installed.
    """
    onnx: Any = require("onnx", "onnx", "exporting to onnx")
    require("onnxruntime", "onnx", "running a model with onnxruntime")
    refuse_engines(spec, model)
    fed = feed(spec, model, inputs)
    data = model.data if isinstance(model, EngineModule) else graph(spec, model, fed, spec.exporter)
    found = onnx.load_from_string(data)
    del found.metadata_props[:]
    body = found.SerializeToString()
    artefact = replace(fed.describe(model, spec), files={_SUFFIX: hashlib.sha256(body).hexdigest()})
    write(path, body + _metadata(onnx, artefact.to_text()))  # one message after the other is both of them in one


def _metadata(onnx: Any, text: str) -> bytes:
    """A model that holds the metadata alone."""
    found = onnx.ModelProto()
    entry = found.metadata_props.add()
    entry.key, entry.value = KEY, text
    data: bytes = found.SerializeToString()
    return data


def _check_body(onnx: Any, data: bytes, text: str, artefact: Artefact, name: str) -> None:
    digest, end = artefact.files.get(_SUFFIX), _metadata(onnx, text)
    if digest is not None and (
        not data.endswith(end) or hashlib.sha256(data[: len(data) - len(end)]).hexdigest() != digest
    ):
        raise RegistryError(f"{name} is damaged or was changed since it was exported; use a good copy, or export again")


def _check_inside(found: Any, name: str) -> None:
    """Refuses tensors that lie in other files, which the engine would look for in the working folder."""
    graphs = [found.graph]
    while graphs:
        graph = graphs.pop()
        tensors = list(graph.initializer)
        for node in graph.node:
            for attribute in node.attribute:
                graphs += [attribute.g, *attribute.graphs] if attribute.HasField("g") else [*attribute.graphs]
                tensors += [attribute.t, *attribute.tensors] if attribute.HasField("t") else [*attribute.tensors]
        if any(tensor.data_location == tensor.EXTERNAL for tensor in tensors):
            raise RegistryError(f"{name} has tensors in other files, which are not read; export the model again")


def load(path: str | os.PathLike[str]) -> EngineModule:
    """The module that runs a file with ONNX Runtime.

    Raises:
        RegistryError: it is damaged, has no metadata, or a newer release wrote it.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    onnx: Any = require("onnx", "onnx", "reading an onnx file")
    require("onnxruntime", "onnx", "running a model with onnxruntime")
    data, name = read(path), Path(path).name
    try:
        found = onnx.load_from_string(data)
    except Exception as error:  # protobuf's own type, which moves between releases
        raise RegistryError(f"{name} is no ONNX model; it may be damaged: export the model again") from error
    text = next((entry.value for entry in found.metadata_props if entry.key == KEY), None)
    artefact = Artefact.from_text(text, name)
    _check_body(onnx, data, text or "", artefact, name)
    _check_inside(found, name)
    module = engine_module("onnx", data, artefact.sized(path), name)
    try:
        _ = module.session
    except RegistryError:
        raise
    except Exception as error:  # of the engine's own types
        told_first = str(error).partition("\n")[0][:300]
        raise RegistryError(f"{name} cannot be run: {told_first}; it may be damaged: export the model again") from error
    return module


def engine_module(engine: Any, data: bytes, artefact: Artefact, name: str, weights: bytes = b"") -> EngineModule:
    """The module of a file's bytes and of what it says of itself."""
    return EngineModule(
        engine,
        data,
        weights=weights,
        outputs=artefact.outputs,
        takes="images" if artefact.takes == "images" else "batch",
        spec=model_spec(artefact, name),
        artefact=artefact,
    )


def graph(spec: OnnxSpec | OpenVINOSpec, model: nn.Module, fed: Feed, exporter: str = "auto") -> bytes:
    """A model in ONNX's form, without metadata.

    Raises:
        RegistryError: no exporter can.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    require("onnx", "onnx", "exporting to onnx")
    require("onnxscript", "onnx", "exporting to onnx")
    if fed.takes == "images" and exporter != "export":
        exporter = "trace"
    failure: RegistryError | None = None
    if exporter in ("auto", "export"):
        try:
            with told(spec, model):
                return _exported(spec, model, fed)
        except RegistryError as error:
            if exporter == "export":
                raise
            failure = error
    try:
        with told(spec, model):
            return _traced(spec, model, fed)
    except RegistryError as error:
        raise failure or error from error


def _exported(spec: OnnxSpec | OpenVINOSpec, model: nn.Module, fed: Feed) -> bytes:
    example = fed.example if fed.takes == "batch" else fed.example[0]
    program = torch.onnx.export(
        Flat(model, fed.takes),
        (example,),
        dynamo=True,
        opset_version=spec.opset,
        dynamic_shapes=fed.dims(spec),
        input_names=["images"],
        output_names=names_of(fed.outputs),
        verbose=False,
    )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


def _traced(spec: OnnxSpec | OpenVINOSpec, model: nn.Module, fed: Feed) -> bytes:
    names = names_of(fed.outputs)
    if fed.takes == "batch":
        example, places = fed.example, {"batch": 0, "height": 2, "width": 3}
        axes = {places[name]: name for name in fed.axes}
        free: Any = {name: {0: "batch"} if "batch" in fed.axes else {} for name in names}
        if len(fed.axes) > 1:
            free = {name: {**found, 2: f"{name}_height", 3: f"{name}_width"} for name, found in free.items()}
    else:
        example, axes = fed.example[0], {1: "height", 2: "width"}
        free = {name: {0: "found"} for name in names}
    buffer: Any = io.BytesIO()  # torch's annotation knows paths alone
    torch.onnx.export(
        Flat(model, fed.takes),
        (example,),
        buffer,
        dynamo=False,
        opset_version=min(spec.opset, 20),
        input_names=["images"],
        output_names=names,
        dynamic_axes={"images": axes, **free},
    )
    data: bytes = buffer.getvalue()
    return data
