"""The target `openvino`: an `.xml` file, which carries the metadata, and its weights in a `.bin` file beside it."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from registry.artefacts import KEY, Artefact
from registry.errors import RegistryError
from registry_export.common import Feed, Flat, feed, read, refuse_engines, told, write
from registry_export.engines import EngineModule, require
from registry_export.onnx_files import engine_module, graph
from registry_export.specs import OpenVINOSpec

_WEIGHTS = ".bin"


def export(spec: OpenVINOSpec, model: nn.Module, inputs: Any, path: str | os.PathLike[str]) -> None:
    """Writes both files, the weights first: whoever sees the `.xml` finds its weights.

    Raises:
        RegistryError: the model cannot be converted, or a file cannot be written.
        MissingExtraError: openvino is not installed, or onnx for a model that goes by it.
    """
    engine: Any = require("openvino", "openvino", "exporting to openvino")
    refuse_engines(spec, model)
    fed = feed(spec, model, inputs)
    with told(spec, model):
        if isinstance(model, EngineModule):
            converted = engine.Core().read_model(model.data, model.weights)
        else:
            converted = converted_model(engine, spec, model, fed)
    target = Path(path)
    weights = target.with_suffix(_WEIGHTS)
    with tempfile.TemporaryDirectory(prefix=".openvino-", dir=target.parent) as folder:
        draft = Path(folder) / "model.xml"
        with told(spec, model):
            engine.save_model(converted, draft, compress_to_fp16=spec.half)
            data = draft.with_suffix(_WEIGHTS).read_bytes()
            artefact = replace(fed.describe(model, spec), files={_WEIGHTS: hashlib.sha256(data).hexdigest()})
            converted.set_rt_info(artefact.to_text(), KEY)
            engine.save_model(converted, draft, compress_to_fp16=spec.half)
            again = draft.with_suffix(_WEIGHTS).read_bytes()
        if again != data:
            raise RegistryError("openvino wrote other weights the second time; try again")
        text = re.sub(rb">\s+<", b"><", draft.read_bytes())  # a seventh of it is indentation
    try:
        target.unlink(missing_ok=True)
    except OSError as error:
        raise RegistryError(f"{target} cannot be replaced: {error.strerror or error}") from error
    write(weights, data)
    write(target, text)


def load(path: str | os.PathLike[str]) -> EngineModule:
    """The module that runs a pair of files with OpenVINO.

    Raises:
        RegistryError: one is missing, damaged, or of another export, or a newer release wrote them.
        MissingExtraError: openvino is not installed.
    """
    engine: Any = require("openvino", "openvino", "running a model with openvino")
    data, name = read(path), Path(path).name
    beside = Path(path).with_suffix(_WEIGHTS)
    if not beside.is_file():
        raise RegistryError(f"{name} has no weights: {beside.name} must lie beside it; copy both files")
    weights = read(beside)
    try:
        found = engine.Core().read_model(data, weights)
        text = found.get_rt_info(KEY).astype(str) if found.has_rt_info(KEY) else None
    except Exception as error:  # of the engine's own types
        raise RegistryError(f"{name} is no model of OpenVINO; it may be damaged: export the model again") from error
    artefact = Artefact.from_text(text, name)
    if hashlib.sha256(weights).hexdigest() != artefact.files.get(_WEIGHTS):
        raise RegistryError(
            f"{beside.name} is damaged or of another export than {name}; copy both files, or export the model again"
        )
    return engine_module("openvino", data, artefact.sized(path, beside), name, weights)


def converted_model(engine: Any, spec: OpenVINOSpec, model: nn.Module, fed: Feed) -> Any:
    """A float model in OpenVINO's form, with the axes that may change; one that takes a list of images takes a single one.

    Args:
        engine: the package.
    """
    if fed.takes == "images":
        return engine.convert_model(io.BytesIO(graph(spec, model, fed)))
    converted = engine.convert_model(Flat(model, "batch"), example_input=fed.example)
    places = {"batch": 0, "height": 2, "width": 3}
    free = {places[name] for name in fed.axes}
    converted.reshape([-1 if index in free else side for index, side in enumerate(fed.example.shape)])
    return converted
