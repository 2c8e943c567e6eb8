"""What `registry quantize` is asked for, settled before anything is built. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry_export import flow

from registry.catalog.references import user_path
from registry.errors import RegistryError
from registry.registry import Registry
from registry.specs import ExportSpec, ModelSpec, QuantizationSpec

#: The scheme where neither the user nor the model names one.
USUAL = "xnnpack"
#: Settings that are not the model's own.
_OTHERS = ("dataset.", "export.", "recipe.")


@dataclass(frozen=True)
class Settled:
    """A model, its scheme and the file's target, which fit each other.

    Attributes:
        assignments: `KEY=VALUE` for the model, the scheme in them.
        target: None where no file is written.
    """

    model: ModelSpec
    assignments: tuple[str, ...]
    scheme: QuantizationSpec
    target: ExportSpec | None
    file: Path | None


@dataclass(frozen=True)
class Training:
    """A training that was asked for.

    Attributes:
        recipe: name or path.
        folder: where the run is kept.
        resume: go on with the run in the folder.
        device: where to train; None: the best there is.
        workers: processes that load pictures; None: as many as there are cores beside this one.
    """

    recipe: str
    folder: Path
    resume: bool = False
    device: str | None = None
    workers: int | None = None


def settled(
    registry: Registry, model: str, scheme: str | None, file: str | None, assignments: Sequence[str], **given: object
) -> Settled:
    """Holds everything against each other.

    Args:
        model: a name, a path, or a checkpoint.
        scheme: name of a document, or its path, or a type; None: the model's own, else `xnnpack`.
        file: to write; its suffix says for which engine.
        assignments: `KEY=VALUE` of the model, `quantization.KEY`, `export.KEY`, `dataset.KEY`.
        given: others that `Registry.load_spec` takes.

    Raises:
        UnknownNameError, SpecError: a name is not known, or a setting is wrong.
        RegistryError: model, scheme and file do not fit, no scheme is left, or the file is none.
    """
    from registry.artefacts import is_artefact

    if is_artefact(registry, model):
        raise RegistryError(
            f"{model} is an engine's file already; quantize the model or checkpoint that it was made from"
        )
    own = tuple(text for text in assignments if not text.startswith(_OTHERS))
    if scheme is None and registry.load_spec(model, overrides=_without(own), **given).quantization is None:  # type: ignore[arg-type]  # as the verb gives them
        scheme = USUAL
    named = () if scheme is None else (f"quantization={scheme}",)
    spec = registry.load_spec(model, overrides=[*named, *own], **given)  # type: ignore[arg-type]  # likewise
    if spec.quantization is None:
        raise RegistryError("`--set quantization=` takes the scheme away; leave it out, or name a scheme with --scheme")
    path = None if file is None else _path(file)
    target = None if path is None else _target(registry, spec.quantization, path, assignments)
    if target is not None and path is not None:
        flow.check(target, spec, path)
    return Settled(spec, (*named, *own), spec.quantization, target, path)


def _without(assignments: Sequence[str]) -> list[str]:
    return [text for text in assignments if not text.startswith("quantization.")]


def _path(text: str) -> Path:
    """The file that a user names; raises RegistryError for a folder, and for no name at all."""
    if not text:
        raise RegistryError("`--output` is empty; name a file to write")
    path = user_path(text)
    if text.endswith(("/", os.sep)) or path.name in ("", "..") or os.path.isdir(path):
        raise RegistryError(f"{text} is a folder; name a file in it")
    return path


def _target(registry: Registry, scheme: QuantizationSpec, file: Path, assignments: Sequence[str]) -> ExportSpec:
    """The target that writes files of that suffix, if the scheme's models are for its engine."""
    host = registry.host
    found: dict[str, str] = {
        part.type: host.spec_class_of(part).suffix  # type: ignore[attr-defined]  # specs of export targets have it
        for part in host.parts
        if part.kind == "export"
    }
    fitting = getattr(scheme, "targets", None)
    known = {kind: suffix for kind, suffix in found.items() if fitting is None or kind in fitting}
    for kind, suffix in known.items():
        if suffix == file.suffix.lower():
            return flow.target_spec(registry, kind, assignments)
    listed = " or ".join(f"{suffix} (for {kind})" for kind, suffix in known.items())
    name = _plain_name(file, found.values()) + next(iter(known.values()))
    raise RegistryError(f"`{scheme.type}` makes models for files that end in {listed}; write `{file.with_name(name)}`")


def _plain_name(file: Path, known: Collection[str]) -> str:
    """The name without its suffix, and without those of engines before it."""
    name = file.stem
    while Path(name).suffix.lower() in known:
        name = Path(name).stem
    return "model" if name.lower() in known else name
