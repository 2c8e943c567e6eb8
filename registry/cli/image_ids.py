"""The numbers that pictures have in their data set, for result formats that name pictures so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from registry.errors import ImageError, RegistryError


class _Entry(NamedTuple):
    """An image of the annotations: its name, with the folders that it may be given with, and its id."""

    parts: tuple[str, ...]
    id: int

    @property
    def name(self) -> str:
        return "/".join(self.parts)


def image_ids(
    files: Sequence[Path], annotations: str | None, tell: Callable[[str, RegistryError], None]
) -> dict[Path, int]:
    """An id for each file that has one.

    From the annotations where they are given, by the file's name, and by its folders where several images have the name;
    else the number that each name is, as in `000000000139.jpg`, where all are numbers and differ; else 1, 2, … in order,
    which is said on the error output.

    Args:
        annotations: a JSON file whose list `images` has entries with `file_name` and `id`.
        tell: told of each file that the annotations do not list, or list so that several images may be meant.

    Raises:
        RegistryError: the annotations cannot be read, have names or ids that are not one image's alone, or two files are
            one image to them.
    """
    if annotations is None:
        return _numbered(files)
    listed = _listed(Path(annotations))
    ids: dict[Path, int] = {}
    for file in files:
        entries = _nearest(file, listed.get(file.name, []))
        if len(entries) == 1:
            ids[file] = entries[0].id
        elif not entries:
            tell(str(file), ImageError(f"{annotations} lists no image `{file.name}`"))
        else:
            found = f"{file} may be `{entries[0].name}` or `{entries[1].name}` of {annotations}"
            tell(str(file), ImageError(f"{found}; name it with the folder that tells them apart"))
    first: dict[int, Path] = {}
    for file, number in ids.items():
        if first.setdefault(number, file) != file:
            raise RegistryError(f"{first[number]} and {file} are one image to {annotations}; predict them apart")
    return ids


def _numbered(files: Sequence[Path]) -> dict[Path, int]:
    numbers = [int(file.stem) for file in files if file.stem.isascii() and file.stem.isdecimal()]
    if len(set(numbers)) == len(files):
        return dict(zip(files, numbers, strict=True))
    click.echo("images are numbered from 1 in their order; --annotations FILE gives them their ids", err=True)
    return {file: number for number, file in enumerate(files, start=1)}


def _nearest(file: Path, entries: Sequence[_Entry]) -> list[_Entry]:
    """The entries whose last folders are most like those of the file; of equals the ones without other folders."""
    if len(entries) < 2:
        return list(entries)
    own = Path(os.path.abspath(file)).parts

    def likeness(entry: _Entry) -> tuple[int, bool]:
        pairs = zip(reversed(own), reversed(entry.parts), strict=False)
        same = next(
            (count for count, (one, other) in enumerate(pairs) if one != other), min(len(own), len(entry.parts))
        )
        return same, same == len(entry.parts)

    best = max(map(likeness, entries))
    return [entry for entry in entries if likeness(entry) == best]


def _listed(path: Path) -> dict[str, list[_Entry]]:
    """The images of the annotations by their names without folders.

    Raises:
        RegistryError: the file cannot be read, an id is no whole number, or a name or id stands there twice.
    """
    listed: dict[str, list[_Entry]] = {}
    by_parts: dict[tuple[str, ...], _Entry] = {}
    by_id: dict[int, _Entry] = {}
    for name, number in _pairs(path):
        if type(number) is not int:
            shown = json.dumps(number)[:40]
            raise RegistryError(f"{path}: the id of `{name}` is {shown}; write a whole number")
        entry = _Entry(Path(name).parts, number)
        twice = by_parts.setdefault(entry.parts, entry)
        if twice is not entry:
            ids = f"{twice.id} and {number}"
            raise RegistryError(f"{path} lists `{entry.name}` twice, with the ids {ids}; list each image once")
        twice = by_id.setdefault(number, entry)
        if twice is not entry:
            text = f"`{twice.name}` and `{entry.name}` have the same id {number}"
            raise RegistryError(f"{path}: {text}; give each image an id of its own")
        listed.setdefault(entry.parts[-1] if entry.parts else "", []).append(entry)
    return listed


def _pairs(path: Path) -> list[tuple[str, object]]:
    """Name and id of each image, as they were written."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(entry["file_name"], entry["id"]) for entry in held["images"]]
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, RecursionError):
        pairs = None
    if pairs is None or not all(isinstance(name, str) for name, _ in pairs):
        raise RegistryError(f"{path} has no list `images` of entries with `file_name` and `id`")
    return pairs
