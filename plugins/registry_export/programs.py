"""The target `torch-export`: a `.pt2` file, or a zip of one `.pt2` for each part of a model that was split."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import KEY, Artefact
from registry.errors import RegistryError
from registry.modules.split import can_split, dynamic_shapes, split_of
from registry_export.archives import check_program, members
from registry_export.common import Feed, Flat, cannot_trace, feed, quiet, read, told, write
from registry_export.engines import require
from registry_export.running import module_of
from registry_export.specs import TargetSpec, TorchExportSpec

_OPERATORS = b"quantized_decomposed"
_METADATA = "metadata.json"


class _Part(nn.Module):
    """A part under a name of its own: a program whose first module is called `graph`, as quantized ones, cannot be loaded."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Runs it."""
        return self.part(*tensors)


def _together(axes: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """The axes of each input as those of the one argument that holds all of them."""
    return None if axes is None else (axes,)


def traced(spec: TargetSpec, model: nn.Module, fed: Feed) -> dict[str, torch.export.ExportedProgram]:
    """The programs of a model: `forward`, or one for each of its parts.

    Raises:
        RegistryError: `torch.export` cannot trace it.
    """
    if fed.takes == "batch":
        with told(spec, model):
            return {"forward": torch.export.export(Flat(model, "batch"), (fed.example,), dynamic_shapes=fed.dims(spec))}
    if not can_split(model):
        raise cannot_trace(spec, model)
    split = split_of(model)
    with told(spec, model):
        examples = split.examples(fed.example)
        return {
            name: torch.export.export(
                _Part(part), examples[name], dynamic_shapes=_together(dynamic_shapes(split, name))
            )
            for name, part in split.parts.items()
        }


def parts_of(programs: dict[str, Any]) -> tuple[str, ...]:
    """Names of the parts, none for a model that is whole."""
    return () if set(programs) == {"forward"} else tuple(programs)


def export(spec: TorchExportSpec, model: nn.Module, inputs: Any, path: str | os.PathLike[str]) -> None:
    """Writes the file.

    Raises:
        RegistryError: the model cannot be traced, or the file cannot be written.
    """
    fed = feed(spec, model, inputs)
    programs = traced(spec, model, fed)
    text = fed.describe(model, spec, parts_of(programs)).to_text()
    if not parts_of(programs):
        write(path, _saved(programs["forward"], {KEY: text}))
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(_METADATA, text)
        for name, program in programs.items():
            packed.writestr(f"{name}.pt2", _saved(program, {}))
    write(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> nn.Module:
    """The module that runs a file.

    Raises:
        RegistryError: it is damaged, has no metadata, a newer release wrote it, or it holds more than a program and tensors.
        MissingExtraError: its model is quantized, and torchao is not installed.
    """
    data, name = read(path), Path(path).name
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise RegistryError(f"{name} is no file of torch.export; it may be damaged: export the model again")
    held = members(data, name)
    split = _METADATA in held
    if split:
        artefact = Artefact.from_text(held[_METADATA], name)
        programs = {part: held.get(f"{part}.pt2", b"") for part in artefact.parts}
    elif not any(member.startswith("models/") for member in held):
        raise RegistryError(f"{name} is no file of torch.export; it may be damaged: export the model again")
    else:
        programs = {"forward": data}
        artefact = Artefact.from_text(held.get(f"extra/{KEY}"), name)
    for part, program in programs.items():
        check_program(program, f"{part} of {name}" if split else name)
    with quiet():
        if _OPERATORS in data:  # which torchao brings
            require("torchao.quantization.pt2e.quantize_pt2e", "quantize", "running a quantized program")
        modules = {part: torch.export.load(io.BytesIO(each)).module() for part, each in programs.items()}

    def run(part: str, tensors: tuple[torch.Tensor, ...]) -> Sequence[torch.Tensor]:
        with torch.no_grad():
            found: Sequence[torch.Tensor] = modules[part](*tensors)
        return found

    return module_of(run, artefact.sized(path), path)


def _saved(program: torch.export.ExportedProgram, extra: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()
