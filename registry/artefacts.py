"""Artefacts, which are models as files that engines run: what they say of themselves, and how one is loaded.

Nothing here imports torch.
"""

from __future__ import annotations

import contextvars
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artefact_text import KEY, LONGEST, VERSION, Artefact
from registry.errors import ConflictError, PluginError, RegistryError, RegistryWarning
from registry.host import PluginHost
from registry.host.host import import_attribute
from registry.host.records import PartRecord
from registry.specs import ExportSpec, ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from registry.registry import Registry

__all__ = [
    "KEY",
    "LONGEST",
    "VERSION",
    "Artefact",
    "describe",
    "is_artefact",
    "load_artefact",
    "model_spec",
    "reading_for",
    "reading_registry",
    "suffixes",
    "warn_of_missing",
]

_registry: contextvars.ContextVar[Registry | None] = contextvars.ContextVar("registry_of_artefacts", default=None)


def describe(
    model: nn.Module,
    export: ExportSpec,
    *,
    takes: str,
    shape: tuple[int, ...],
    dynamic: tuple[str, ...] = (),
    outputs: Any = "tensor",
    parts: tuple[str, ...] = (),
) -> Artefact:
    """What an artefact of a model says; the model carries `spec`, and `quantization` where it is quantized.

    Raises:
        RegistryError: the model has no spec.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise RegistryError("only a module that registry.build() made can be exported: this one has no `spec`")
    registry = reading_registry()
    origins = [registry.host.record_of(part).origin for _, part in spec.parts()]
    scheme = getattr(model, "quantization", None)
    known = getattr(model, "artefact", None)  # one that was loaded keeps its own labels
    return Artefact(
        target=export.type,
        settings=export.model_dump(mode="json"),
        spec=json.loads(json.dumps(registry.host.dump(spec))),
        plugins={origin.distribution: origin.version for origin in origins},
        categories=known.categories if isinstance(known, Artefact) else registry.categories(spec.task),
        takes=takes,
        shape=tuple(int(side) for side in shape),
        dynamic=tuple(dynamic),
        outputs=outputs,
        parts=tuple(parts),
        quantization=None if scheme is None else scheme.model_dump(mode="json"),
    )


def model_spec(artefact: Artefact, name: str) -> ModelSpec:
    """The typed spec of the model in an artefact, checked by the registry that reads it.

    Args:
        name: of the file, for messages.

    Raises:
        SpecError, UnknownNameError: a part of the model is not known here.
    """
    library = reading_registry().library
    document = library.from_text(json.dumps(artefact.spec), name)
    spec, _ = library.check(document, library.resolve(document))
    assert isinstance(spec, ModelSpec)
    return spec


#: Makes the registry that serves where none was named; the package puts it here, as it stands above this module.
usual: list[Callable[[], Registry]] = []


@contextmanager
def reading_for(registry: Registry) -> Iterator[None]:
    """Lets artefacts be written and read for that registry, instead of the default one."""
    token = _registry.set(registry)
    try:
        yield
    finally:
        _registry.reset(token)


def reading_registry() -> Registry:
    """The registry that artefacts are written and read for."""
    current = _registry.get()
    if current is None and not usual:
        raise RegistryError("no registry reads artefacts here; call Registry.load_artefact")
    return current or usual[0]()


def suffixes(host: PluginHost) -> dict[str, list[PartRecord]]:
    """The export parts whose files can be loaded, by suffix in small letters; a part whose spec fails is left out."""
    found: dict[str, list[PartRecord]] = {}
    for record in dict.fromkeys(host.parts):
        if record.kind != "export" or record.load is None:
            continue
        try:
            suffix = getattr(host.spec_class_of(record), "suffix", None)
        except PluginError:  # `registry plugins` tells of it
            continue
        if isinstance(suffix, str):
            found.setdefault(suffix.lower(), []).append(record)
    return found


def is_artefact(registry: Registry, path: object) -> bool:
    """True for the path of a file that some export part loads, told by its suffix alone."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    return Path(os.fspath(path)).suffix.lower() in suffixes(registry.host)


def load_artefact(registry: Registry, path: Path) -> nn.Module:
    """Loads an artefact with the part that has its suffix; see `Registry.load_artefact`.

    Raises:
        RegistryError: no part loads such files, there is no such file, or it is damaged.
        ConflictError: several parts do.
        MissingExtraError: torch or its engine is not installed.
    """
    from registry.assemble import require_torch

    known = suffixes(registry.host)
    records = known.get(path.suffix.lower(), [])
    if not records:
        listed = ", ".join(f"`{suffix}`" for suffix in sorted(known)) or "none, as no plugin loads any"
        raise RegistryError(f"{path} is no artefact: no export target loads `{path.suffix}`; known are {listed}")
    if len(records) > 1:
        owners = ", ".join(f"`{record.type}` of {record.origin}" for record in records)
        raise ConflictError(f"several export targets load `{path.suffix}`: {owners}; disable one of the plugins")
    if not path.is_file():
        raise RegistryError(f"there is no file {path}")
    require_torch("running a model")
    load = import_attribute(records[0].load, records[0].origin)
    try:
        with reading_for(registry):
            model: nn.Module = load(path)
    except (RegistryError, MemoryError):
        raise
    except Exception as error:  # an engine refuses a damaged file with errors of any type
        told = str(error).strip().partition("\n")[0][:300] or "no reason given"
        raise RegistryError(
            f"{path} cannot be loaded: {type(error).__name__}: {told}; it may be damaged: export the model again"
        ) from error
    warn_of_missing(registry.host, getattr(model, "artefact", None), os.fspath(path))
    return model.eval()


def warn_of_missing(host: PluginHost, made_with: Artefact | Mapping[str, str] | None, name: str) -> None:
    """Warns of each distribution with which a file was made and that is not loaded here."""
    plugins = made_with.plugins if isinstance(made_with, Artefact) else made_with or {}
    here = {record.origin.distribution for record in host.plugins if record.state == "loaded"}
    for distribution, version in plugins.items():
        if distribution not in here:
            text = f"{name} was made with the plugin {distribution} {version}, which is not loaded here"
            warnings.warn(text, RegistryWarning, stacklevel=4)
