"""What the targets share: how a model is fed, how a failure is told, and modules that run a file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import Artefact, describe
from registry.errors import RegistryError
from registry.modules.split import can_split, split_of
from registry.specs import ModelSpec
from registry_export.engines import EngineModule
from registry_export.forms import form_of, tensors_of
from registry_export.specs import AxisName, TargetSpec

#: Least height and width of a picture that an axis is declared for: below, a map of stride 32 is a point, which exporters take
#: for a constant.
LEAST = 64


@dataclass(frozen=True)
class Feed:
    """How a model is fed.

    Attributes:
        takes: `batch` for a tensor (N, C, H, W), `images` for a list of (C, H, W).
        example: the tensor, at least two images where the batch may change; or the list.
        axes: that may change, of a tensor.
        outputs: form of what comes out: of the batch, or of one image.
    """

    takes: str
    example: Any
    axes: tuple[AxisName, ...]
    outputs: Any

    def dims(self, spec: TargetSpec) -> tuple[dict[int, Any]] | None:
        """The axes as `torch.export.export` takes them."""
        if not self.axes:
            return None
        bounds = {
            "batch": (0, 1, spec.largest_batch),
            "height": (2, LEAST, spec.largest),
            "width": (3, LEAST, spec.largest),
        }
        made = {}
        for name in self.axes:
            index, low, high = bounds[name]
            low = min(low, self.example.shape[index])
            made[index] = torch.export.Dim(name, min=low, max=max(high, low + 1, self.example.shape[index]))
        return (made,)

    def describe(self, model: nn.Module, spec: TargetSpec, parts: Sequence[str] = ()) -> Artefact:
        """What the file says of itself."""
        example = self.example if self.takes == "batch" else self.example[0]
        free: tuple[str, ...] = self.axes if self.takes == "batch" else ("batch", "height", "width")
        told = describe(model, spec, takes=self.takes, shape=tuple(example.shape), dynamic=free, parts=tuple(parts))
        return replace(told, outputs=self.outputs)


def feed(spec: TargetSpec, model: nn.Module, inputs: Any) -> Feed:
    """How a model is fed, found by running it once.

    Raises:
        RegistryError: the inputs are neither a tensor nor a list of them, or the outputs are no tensors.
    """
    refuse_engines(spec, model)
    model.eval()
    model_of = getattr(model, "spec", None)
    if not isinstance(model_of, ModelSpec):
        raise RegistryError("only a module that registry.build() made can be exported: this one has no `spec`")
    if isinstance(inputs, torch.Tensor):
        axes = spec.axes(model_of)
        example = torch.cat([inputs, inputs]) if "batch" in axes and len(inputs) < 2 else inputs
        if "batch" not in axes:
            example = example[:1]
        with torch.no_grad():
            return Feed("batch", example, axes, form_of(model(example)))
    if isinstance(inputs, (list, tuple)) and inputs and all(isinstance(image, torch.Tensor) for image in inputs):
        with torch.no_grad():
            output = model(list(inputs[:1]))
        if not isinstance(output, (list, tuple)) or len(output) != 1:
            raise RegistryError(f"`{model_of.name}` takes a list of images and does not return a list of results")
        return Feed("images", list(inputs), (), form_of(output[0]))
    raise RegistryError(
        f"a model is exported with a tensor (N, C, H, W) or a list of images, not a {type(inputs).__name__}"
    )


def refuse_engines(spec: TargetSpec, model: nn.Module) -> None:
    """Raises RegistryError for what already is another engine's file."""
    if isinstance(model, EngineModule) and model.engine != spec.type:
        raise RegistryError(
            f"the model is a file of the engine `{model.engine}` already; export it with --target {model.engine}, "
            f"or export the model that it was made from"
        )
    made = getattr(model, "artefact", None)
    if isinstance(made, Artefact) and not isinstance(model, EngineModule):
        raise RegistryError(
            f"the model is a file of the target `{made.target}` already, which cannot be written again; copy the file, or "
            "export the model that it was made from"
        )


def cannot_trace(spec: TargetSpec, model: nn.Module) -> RegistryError:
    """The error of a model that takes a list of images and gives no parts."""
    own: ModelSpec = model.spec  # type: ignore[assignment]  # built modules carry it
    return RegistryError(
        f"`{spec.type}` cannot trace `{own.name}`: it takes a list of images, and its head `{own.head.type}` gives no parts "
        "that can be traced; export it with --target onnx, or give the model a method `split()`, see registry.modules.split "
        "[REG461]"
    )


@contextlib.contextmanager
def told(spec: TargetSpec, model: nn.Module) -> Iterator[None]:
    """Runs an exporter in silence, and tells of its failure in one error.

    Raises:
        RegistryError: the exporter failed; names the operator where the exporter does.
    """
    name = getattr(getattr(model, "spec", None), "name", type(model).__name__)
    try:
        with quiet(), torch.no_grad():
            yield
    except (RegistryError, MemoryError):
        raise
    except Exception as error:  # exporters fail with errors of any type
        text = " ".join(line.strip() for line in _chained(error).splitlines() if line.strip())
        operator = re.search(r"(aten|quantized|quantized_decomposed|torchao|torchvision|prims)(::|\.)\w+(\.\w+)?", text)
        where = f" at the operator `{operator.group(0)}`" if operator else ""
        raise RegistryError(
            f"`{name}` cannot be exported to `{spec.type}`{where}: {type(error).__name__}: {text[:400]}"
        ) from error


def _chained(error: BaseException) -> str:
    parts: list[str] = []
    found: BaseException | None = error
    while found is not None and len(parts) < 4:
        parts.append(str(found))
        found = found.__cause__
    return "\n".join(parts)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps warnings, prints and logs of an exporter off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def mute() -> Iterator[None]:
    """Keeps what a library of an engine writes to the error output, past Python, off the terminal."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


#: One thread at a time, as torch's engine of integers is the process's.
_ENGINE = threading.RLock()


@contextlib.contextmanager
def eager_engine(name: str) -> Iterator[None]:
    """torch's engine of eager integers, for one thread at a time; the one before is put back, after an error too."""
    with _ENGINE:
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = name
        try:
            yield
        finally:
            torch.backends.quantized.engine = before


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file; raises RegistryError where it cannot be written."""
    from registry.files import write_atomically

    try:
        write_atomically(path, data)
    except OSError as error:
        raise RegistryError(f"{os.fspath(path)} cannot be written: {error.strerror or error}") from error


def read(path: str | os.PathLike[str]) -> bytes:
    """Reads a file; raises RegistryError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RegistryError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error


def flat(output: Any) -> tuple[torch.Tensor, ...]:
    """Outputs as a tuple of tensors, for exporters that keep no structure."""
    return tuple(tensors_of(output))


class Flat(nn.Module):
    """A model with its outputs as a flat tuple; for `images`, of one image (C, H, W)."""

    def __init__(self, model: nn.Module, takes: str) -> None:
        super().__init__()
        self.model, self.takes = model, takes
        self.parts = split_of(model) if takes == "images" and can_split(model) else None
        self.eval()

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Runs it."""
        if self.takes == "batch":
            return flat(self.model(inputs))
        if self.parts is not None:
            return flat(self.parts.run(self.parts.call, [inputs])[0])
        return flat(self.model([inputs])[0])
