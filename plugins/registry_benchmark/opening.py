"""From a subject to what can be run: a module with an input, on its device."""

from __future__ import annotations

import importlib.metadata
import warnings
from typing import Any

import torch

from registry.artefacts import Artefact
from registry.current import default_registry
from registry.errors import RegistryError
from registry.modules.split import can_split, split_of
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.tasks import Task
from registry_benchmark.peak import MatrixProduct
from registry_benchmark.runs import Run
from registry_benchmark.subjects import Subject

#: Side of images of a model that has none of its own, in pixels.
_SIDE = 224
#: Engines of artefacts by the suffix of their files, with the distribution that has the version.
_ENGINES = {
    ".onnx": ("ONNX Runtime", "onnxruntime"),
    ".xml": ("OpenVINO", "openvino"),
    ".pte": ("ExecuTorch", "executorch"),
    ".pt2": ("torch.export", "torch"),
    ".ts": ("TorchScript", "torch"),
}


def opened(subject: Subject) -> Run | MatrixProduct:
    """Builds or loads a subject, and makes up its input.

    Raises:
        RegistryError: what cannot be built, loaded, or given images of that size; names what to do.
        MissingExtraError: an engine is not installed.
    """
    if subject.kind == "peak":
        return MatrixProduct(subject)
    _check_device(subject.device)
    if subject.kind == "artefact":
        return _artefact(subject)
    if subject.kind == "torchvision":
        from registry_benchmark.yardstick import built

        module, task_type, inputs = built(subject)
        run = Run(subject, module, inputs, task=task_type, engine=_torch(subject))
    else:
        registry = default_registry()
        overrides = [*subject.overrides, *_sided(registry, subject)]
        module = registry.build(subject.reference, weights=subject.weights, overrides=overrides)
        spec: ModelSpec = module.spec  # type: ignore[assignment]  # built modules carry it
        size = subject.size or spec.head.image_size() or spec.task.image_size() or (_SIDE, _SIDE)
        inputs = images(registry.task(spec), spec, subject.batch, size)
        run = Run(subject, module, inputs, task=spec.task.type, engine=_torch(subject), spec=spec)
    if subject.random:
        run.settle_norms()
    if subject.part is not None:
        run = _part(run)
    run.place()
    return run


def images(task: Task[Any, Any], spec: ModelSpec, count: int, size: tuple[int, int]) -> Any:
    """Noise as the model takes it, the same each time."""
    generator = torch.Generator().manual_seed(0)
    try:
        return task.example(spec, count, size, generator)[0]
    except RegistryError:  # the task makes up no examples
        channels = spec.backbone.in_channels
        return task.collate([torch.rand((channels, *size), generator=generator) for _ in range(count)])


def _artefact(subject: Subject) -> Run:
    registry = default_registry()
    module = registry.load_artefact(subject.reference)
    artefact: Artefact = module.artefact  # type: ignore[assignment]  # loaded modules carry it
    spec: ModelSpec = module.spec  # type: ignore[assignment]  # loaded modules carry it
    own = (int(artefact.shape[-2]), int(artefact.shape[-1]))
    if artefact.takes == "images":
        own = spec.head.image_size() or own
    size = subject.size or own
    if size != own and not {"height", "width"} <= set(artefact.dynamic):
        raise RegistryError(
            f"{subject.reference} takes images of {own[0]}x{own[1]} alone (height x width), not {size[0]}x{size[1]}; "
            "export the model for that size"
        )
    name, package = _ENGINES.get(f".{subject.reference.rpartition('.')[2].lower()}", (artefact.target, "torch"))
    engine = f"{name} {_version(package)}"
    inputs = images(registry.task(spec), spec, subject.batch, size)
    if artefact.takes == "batch" and not isinstance(inputs, torch.Tensor):
        inputs = torch.stack(list(inputs))  # a file of the part of a model that takes a list
    run = Run(subject, module, inputs, task=spec.task.type, engine=engine, spec=spec, artefact=artefact)
    return run if subject.part is None else _part(run)


def _part(run: Run) -> Run:
    """The part of a model that its subject names, on what it is given for the first image.

    Raises:
        RegistryError: the model has no such part; tells those that it has.
    """
    subject, module = run.subject, run.module
    if not can_split(module):
        raise RegistryError(f"`{subject.label}` is not made of parts; leave out --part {subject.part}")
    split = split_of(module)
    if subject.part not in split.parts:
        raise RegistryError(f"`{subject.label}` has no part `{subject.part}`; it has {', '.join(split.parts)}")
    if subject.batch != 1:
        raise RegistryError("parts are timed on one image; leave out --batch")
    examples = split.examples(run.inputs)[subject.part]
    part = split.parts[subject.part]
    made = Run(subject, part, examples, task=run.task, engine=run.engine, spec=run.spec, artefact=run.artefact)
    made.whole = module  # which holds the bytes that an engine's part runs on
    return made


def _sided(registry: Registry, subject: Subject) -> list[str]:
    """Settings by which a model that resizes images itself takes the side that was asked for."""
    if subject.side is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # building tells them
        spec = registry.load_spec(subject.reference, overrides=list(subject.overrides), weights=subject.weights)
    if spec.head.image_size() is None:
        return []
    return [f"head.{key}={value}" for key, value in spec.head.settings_for("size", subject.side).items()]


def _check_device(name: str) -> None:
    try:
        torch.empty(1, device=name)
    except Exception as error:  # torch's own types, which differ from device to device
        raise RegistryError(f"torch has no device `{name}` here: {str(error).partition(chr(10))[0]}") from error


def _torch(subject: Subject) -> str:
    return " ".join([f"torch {_version('torch')}", *(("compiled",) if subject.compiled else ())])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""
