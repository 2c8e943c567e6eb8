"""Data sets by document, path, type or folder. Imports no torch."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from registry.catalog import Document, file_of, from_assignments, from_mapping
from registry.catalog.placing import OVERRIDES
from registry.catalog.references import is_path, user_path
from registry.errors import RegistryError, RegistryWarning, UnknownNameError
from registry.source import Mapping as MappingNode
from registry.specs import DatasetSpec
from registry_data.recognise import recognise

if TYPE_CHECKING:
    from registry.registry import Registry

#: A document by name or path, a registered type, a folder, or a spec in hand.
Reference = Union[str, "os.PathLike[str]", DatasetSpec]
#: Dotted settings, or assignments such as `root=photos`.
Settings = Union[Mapping[str, Any], Sequence[str]]


@dataclass(frozen=True)
class Opened:
    """A data set's spec, and how its folder was recognised, if it was given as one."""

    spec: DatasetSpec
    recognised: str | None = None


def dataset_spec(
    registry: Registry, reference: Reference, *, task: str | None = None, overrides: Settings = ()
) -> DatasetSpec:
    """The checked spec of a data set.

    Args:
        reference: a document's name, or its path (it starts with `.`, `/` or `~`, or ends in `.yaml`, `.yml` or `.json`); a
            type that needs no more settings than `overrides` gives; a folder, by a path that starts so or ends in `/`, whose
            layout is recognised; or a spec.
        task: which of several data sets a folder shall be, and what any other must be for.
        overrides: settings laid over it, such as `["root=photos"]`. A relative `root` that a file sets starts from the folder
            of the file, any other from the working folder.

    Raises:
        UnknownNameError, ConflictError: nothing, or several, have that name.
        SpecError: the document is not valid.
        RegistryError: no layout, or several, are recognised, or the data set is for another task.
    """
    return opened(registry, reference, task=task, overrides=overrides).spec


def opened(registry: Registry, reference: Reference, *, task: str | None = None, overrides: Settings = ()) -> Opened:
    """As `dataset_spec`, with how a folder was recognised."""
    if isinstance(reference, DatasetSpec):
        if overrides:
            reference = _checked(registry, _document(registry, reference.model_dump(mode="json"), "spec"), overrides)
        return Opened(_for_task(reference, task))
    text = os.fspath(reference)
    path = user_path(text)
    if (isinstance(reference, os.PathLike) or is_path(text) or text.endswith(("/", os.sep))) and path.is_dir():
        found = recognise(path, task)
        document = _document(registry, {"type": found.type, "root": str(path), **found.settings}, str(path))
        return Opened(_checked(registry, document, overrides), f"{found.type}, by {found.by}")
    try:
        document = registry.library.open(text if isinstance(reference, str) else path, "dataset")
    except UnknownNameError as error:
        if any(part.kind == DatasetSpec.kind and part.type == text.rpartition("/")[2] for part in registry.host.parts):
            document = _document(registry, {"type": text}, text)
        elif path.is_dir():
            raise UnknownNameError(f"{error}; if you mean the folder, write {os.path.join('.', text)}") from error
        else:
            raise
    return Opened(_for_task(_checked(registry, document, overrides), task))


def _document(registry: Registry, settings: Mapping[str, Any], name: str) -> Document:
    text = json.dumps({"kind": "dataset", "name": "data", **settings})
    return registry.library.from_text(text, f"<{name}>", "dataset")


def _checked(registry: Registry, document: Document, overrides: Settings) -> DatasetSpec:
    library = registry.library
    if isinstance(overrides, str):
        overrides = [overrides]
    laid = from_mapping(overrides) if isinstance(overrides, Mapping) else from_assignments(overrides)
    root = library.overridden(document, library.resolve(document), laid)
    spec, found = library.check(document, root)
    for diagnostic in (d for d in found if d.severity == "warning"):
        warnings.warn(str(diagnostic), RegistryWarning, stacklevel=4)
    assert isinstance(spec, DatasetSpec)
    return _placed(spec, root)


def _placed(spec: DatasetSpec, root: MappingNode) -> DatasetSpec:
    """A relative folder as the file that sets it means it."""
    folder, file = getattr(spec, "root", None), file_of(root, ["root"])
    if not isinstance(folder, str) or root.get("root") is None or file in OVERRIDES or file.startswith("<"):
        return spec
    path = user_path(folder)
    return spec if path.is_absolute() else spec.model_copy(update={"root": str(Path(file).parent / path)})


def _for_task(spec: DatasetSpec, task: str | None) -> DatasetSpec:
    if task is not None and spec.task != task:
        raise RegistryError(
            f"the data set `{spec.type}` is for the task `{spec.task}`, not `{task}`; choose another one"
        )
    return spec
