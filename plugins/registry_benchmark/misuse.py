"""Options of `registry benchmark` that are mistakes, told before anything is measured. Imports no torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from registry.artefacts import is_artefact
from registry.catalog import is_path
from registry.catalog.references import user_path
from registry.cli.replacing import Named, files_of, refuse_to_replace, weights_files
from registry.errors import RegistryError
from registry.registry import Registry
from registry_benchmark.suite import Suite

_DATASET = "dataset."


def checked_output(option: str, text: str | None) -> Path | None:
    """The file that an option names.

    Raises:
        RegistryError: it is a folder or none, or nothing can be written where it stands.
    """
    if text is None:
        return None
    path = user_path(text)
    if not text or path.name in ("", "..") or text.endswith(("/", os.sep)) or path.is_dir():
        raise RegistryError(f"{option} `{text}` is a folder; name a file in it")
    if not path.parent.is_dir():
        raise RegistryError(f"{path} cannot be written: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def refuse_to_overwrite(
    registry: Registry,
    written: Mapping[str, Path | None],
    models: Iterable[str],
    weights: Iterable[str],
    data: Iterable[str],
    suite: str | None,
) -> None:
    """Refuses outputs that are among what is read.

    Args:
        written: files by the options that name them.
        models: as the user named them, with `+` and options.
        weights: with `MODEL=` before some.
        data: with `TASK=` before some.

    Raises:
        click.UsageError: one is.
    """
    read: list[Named] = []
    for word in models:
        read += [("a model", file) for name in {word, word.partition("+")[0]} for file in files_of(registry, name)]
    read += [("a file of weights", file) for file in weights_files(*(_behind(text) for text in weights))]
    for text in data:
        read += [("the data set's document", file) for file in files_of(registry, _behind(text), "dataset")]
    read += [] if suite is None else [("the suite", user_path(suite))]
    refuse_to_replace([(option, file) for option, file in written.items() if file is not None], read)


def refuse_useless(
    registry: Registry,
    models: Sequence[str],
    assignments: Sequence[str],
    weights: Sequence[str],
    data: Sequence[str],
) -> None:
    """Refuses options that would be ignored.

    Raises:
        click.UsageError: with what to leave out.
    """
    for text in assignments:
        if text.startswith(_DATASET) and not data:
            raise click.UsageError(f"`--set {text}` changes nothing without --data; give that, or leave it out")
    if models and all(is_artefact(registry, word) for word in models):
        own = [f"--set {text}" for text in assignments if not text.startswith(_DATASET)]
        given = own + [f"--weights {text}" for text in weights]
        if given:
            raise click.UsageError(f"`{given[0]}` changes nothing: an exported file is what it is; leave it out")


def refuse_rows(suite: Suite, chosen: Suite, replaced: Mapping[str, str]) -> None:
    """Refuses files for rows of tables that were not chosen.

    Raises:
        click.UsageError: names the table of the row.
    """
    there = {row.id for row in chosen.every_row()}
    for name in replaced:
        if name not in there:
            table = next(table.name for table in suite.tables if name in {row.id for row in table.rows})
            raise click.UsageError(f"`--use {name}=…`: that row is in the table `{table}`; give --table {table} too")


def check_data(registry: Registry, data: Iterable[str]) -> None:
    """Looks for data sets before anything is measured on them.

    Raises:
        UnknownNameError: there is none of that name.
        RegistryError: there is no such file or folder.
    """
    tasks = {part.type for part in registry.host.parts if part.kind == "task"}
    for text in data:
        name = _behind(text)
        if name != text and text.partition("=")[0] not in tasks:
            continue  # `Asked` tells of it
        if is_path(name) or name.endswith("/") or os.path.exists(name):
            if not user_path(name).exists():
                raise RegistryError(f"--data {text}: there is no {name}")
        else:
            registry.library.open(name, "dataset")


def _behind(text: str) -> str:
    """What stands behind `NAME=`, unless the whole is a file."""
    before, equals, rest = text.partition("=")
    return rest if equals and before and not os.path.exists(text) else text
