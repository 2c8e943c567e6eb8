"""The target `torchscript`: a `.ts` file that torch reads without the code of the model.

torch has given TorchScript up: it warns of it, and does not offer it under Python 3.14 and newer. What can be neither compiled
nor recorded is refused with the reason. `torch-export` is what new work takes.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import KEY, Artefact
from registry.errors import RegistryError
from registry_export.archives import check_script
from registry_export.common import Feed, Flat, eager_engine, feed, quiet, read, told, write
from registry_export.forms import tensors_as
from registry_export.running import module_of
from registry_export.specs import TorchScriptSpec


def export(spec: TorchScriptSpec, model: nn.Module, inputs: Any, path: str | os.PathLike[str]) -> None:
    """Writes the file.

    Raises:
        RegistryError: no TorchScript here, a model that can be neither compiled nor recorded, or a file that cannot be written.
    """
    _check_there()
    fed = feed(spec, model, inputs)
    program = _program(spec, model, fed)
    buffer = io.BytesIO()
    with told(spec, model):
        torch.jit.save(program, buffer, _extra_files={KEY: fed.describe(model, spec).to_text()})
    write(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> nn.Module:
    """The module that runs a file.

    Raises:
        RegistryError: it is damaged, has no metadata, a newer release wrote it, or its code reaches files.
    """
    _check_there()
    data, name = read(path), Path(path).name
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise RegistryError(f"{name} is no program of TorchScript; it may be damaged: export the model again")
    check_script(data, name)
    program, artefact = _opened(data, name)
    engine = (artefact.quantization or {}).get("engine")
    if isinstance(engine, str):  # weights are packed for an engine as they are read
        with _engine(engine, name):
            program, artefact = _opened(data, name)

    def run(_: str, tensors: tuple[torch.Tensor, ...]) -> Sequence[torch.Tensor]:
        with torch.no_grad(), _engine(engine, name):
            if artefact.takes == "batch":
                return tensors_as(artefact.outputs, program(*tensors))
            return tensors_as(artefact.outputs, _results(program([*tensors]))[0])

    return module_of(run, artefact.sized(path), path)


def _opened(data: bytes, name: str) -> tuple[Any, Artefact]:
    extra: dict[str, Any] = {KEY: ""}
    try:
        with quiet():
            program: Any = torch.jit.load(  # type: ignore[no-untyped-call]  # torch leaves it so
                io.BytesIO(data), map_location="cpu", _extra_files=extra
            )
    except (RuntimeError, ValueError) as error:
        raise RegistryError(
            f"{name} is no program of TorchScript; it may be damaged: export the model again"
        ) from error
    return program, Artefact.from_text(extra[KEY], name)


@contextlib.contextmanager
def _engine(engine: str | None, name: str) -> Iterator[None]:
    """The engine of torch that a quantized file was made for; the one before is put back."""
    if engine is None:
        yield
        return
    if engine not in torch.backends.quantized.supported_engines:
        raise RegistryError(f"{name} was made for the engine `{engine}`, which this torch is built without")
    with eager_engine(engine):
        yield


def _results(output: Any) -> Any:
    """The results of each image: compiled detectors of torchvision return a pair of losses and results."""
    return output[1] if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], dict) else output


def _program(spec: TorchScriptSpec, model: nn.Module, fed: Feed) -> Any:
    """The program; a module may name another as `scripted`, which computes the same in code that can be compiled."""
    failure: RegistryError | None = None
    if spec.method in ("auto", "script"):
        try:
            with told(spec, model):
                return torch.jit.script(getattr(model, "scripted", model))
        except RegistryError as error:
            if spec.method == "script" or fed.takes == "images":
                raise
            failure = error
    if fed.takes == "images":
        raise RegistryError("a model that takes a list of images is compiled, not recorded; write export.method=script")
    try:
        with told(spec, model):
            return torch.jit.trace(  # type: ignore[no-untyped-call]  # torch leaves it so
                Flat(model, "batch"), (fed.example,), check_trace=False
            )
    except RegistryError as error:
        raise failure or error from error


def _check_there() -> None:
    if sys.version_info >= (3, 14) or not hasattr(torch.jit, "script"):
        raise RegistryError(
            "this torch offers no TorchScript under this Python; use Python 3.13 or older, or export with --target torch-export"
        )
