"""Files that a verb would write in the place of those that it reads. Imports no torch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from registry.artefacts import suffixes
from registry.catalog import is_path
from registry.catalog.references import user_path
from registry.errors import PluginError, RegistryError, RegistryWarning
from registry.registry import Registry
from registry.specs import DatasetSpec
from registry.weights_reference import LocalFile, parse_reference

#: What a file is, such as `the model`, and where it stands; of what is written, the option that names it.
Named = tuple[str, Path]


def refuse_to_replace(written: Sequence[Named], read: Iterable[Named]) -> None:
    """Compares files by what links lead to.

    Args:
        written: options and the files that they name.
        read: what is read, with words for it.

    Raises:
        click.UsageError: one of `written` is one of `read`, or is named by two options.
    """
    for option, file in written:
        for what, other in read:
            if _same(file, other):
                raise click.UsageError(f"`{option} {file}` is {what}, and would be replaced; name another file")
    for place, (option, file) in enumerate(written):
        for former, other in written[:place]:
            if former != option and _same(file, other):
                raise click.UsageError(f"`{former}` and `{option}` name the same file, {file}; name two")


def files_of(registry: Registry, reference: str, kind: str = "model") -> list[Path]:
    """The files that a name or a path of the user's means: a document, a checkpoint, or an artefact with its companions."""
    path = user_path(reference)
    records = suffixes(registry.host).get(path.suffix.lower(), [])
    if is_path(reference) or records:
        return [path, *(path.with_suffix(end) for record in records for end in _companions(registry, record))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RegistryWarning)  # who opens it next tells them
            return [Path(registry.library.open(reference, kind).file)]
    except RegistryError:  # likewise
        return []


def files_of_data(spec: DatasetSpec) -> list[Path]:
    """The files below its folder that a data set's settings name, such as annotations; not the pictures."""
    root = getattr(spec, "root", None)
    if not isinstance(root, str):
        return []
    paths = [user_path(root) / text for text in _texts(spec.model_dump(mode="json"))]
    return [path for path in paths if os.path.isfile(path)]


def weights_files(*references: str | None) -> list[Path]:
    """The files among references to weights."""
    found = []
    for text in references:
        try:
            reference = None if text is None else parse_reference(text)
        except RegistryError:  # a name of the spec's, or a mistake that is told where it is read
            continue
        if isinstance(reference, LocalFile):
            found.append(reference.path)
    return found


def _companions(registry: Registry, record: object) -> tuple[str, ...]:
    try:
        return tuple(getattr(registry.host.spec_class_of(record), "companions", ()))  # type: ignore[arg-type]  # one of its own
    except PluginError:
        return ()


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _same(one: Path, other: Path) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return False
