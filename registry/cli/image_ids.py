"""The numbers that pictures have in their data set, for result formats that name pictures so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from registry.errors import RegistryError


def image_ids(files: Sequence[Path], annotations: str | None) -> dict[Path, int]:
    """An id for each file.

    From the annotations where they are given; else the number that each name is, as in `000000000139.jpg`, where all are
    numbers and differ; else 1, 2, … in order, which is said on the error output.

    Raises:
        RegistryError: the annotations cannot be read, or do not list a file.
    """
    if annotations is not None:
        known = _listed(Path(annotations))
        missing = [file for file in files if file.name not in known]
        if missing:
            others = f", and {len(missing) - 1} others neither" if len(missing) > 1 else ""
            raise RegistryError(f"{annotations} lists no image `{missing[0].name}`{others}")
        named: dict[str, Path] = {}
        for file in files:
            if named.setdefault(file.name, file) != file:
                raise RegistryError(f"{named[file.name]} and {file} are one image to {annotations}; predict them apart")
        return {file: known[file.name] for file in files}
    numbers = [int(file.stem) for file in files if file.stem.isascii() and file.stem.isdecimal()]
    if len(set(numbers)) == len(files):
        return dict(zip(files, numbers, strict=True))
    click.echo("images are numbered from 1 in their order; --annotations FILE gives them their ids", err=True)
    return {file: number for number, file in enumerate(files, start=1)}


def _listed(path: Path) -> dict[str, int]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {Path(entry["file_name"]).name: int(entry["id"]) for entry in held["images"]}
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise RegistryError(f"{path} has no list `images` of entries with `file_name` and `id`") from error
