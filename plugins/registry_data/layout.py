"""Looking at folders before anything is read: what is there, and what a wrong layout is told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.errors import DataNotNamedError, RegistryError
from registry_data.paths import inside

if TYPE_CHECKING:
    from registry_data.specs import FolderSpec

_PICTURE: Final = re.compile(r"\.(a?png|avif|bmp|dib|gif|jfif|jp2|jpe?g?|mpo|p[bgnp]m|tga|tiff?|webp)", re.IGNORECASE)
#: How many of many things a message names.
MOST_NAMED: Final = 3
_SPLITS: Final = ("train", "validation")


def check_split(split: str) -> None:
    """Raises RegistryError for a split that is neither `train` nor `validation`."""
    if split not in _SPLITS:
        raise RegistryError(f"there is no split `{split}`; it is one of {', '.join(_SPLITS)}")


def root_of(spec: FolderSpec) -> Path:
    """The folder of a data set.

    Raises:
        DataNotNamedError: none is set.
        RegistryError: it is not there.
    """
    if spec.root is None:
        raise DataNotNamedError(
            f"the data set `{spec.type}` does not say where its data are; add --set root=FOLDER, or `root: FOLDER` to its "
            "document"
        )
    try:
        root = Path(spec.root).expanduser()
        if root.is_dir():
            return root
    except (OSError, RuntimeError, ValueError):
        pass
    what = "is no folder" if os.path.exists(spec.root) else "is not there"
    raise RegistryError(f"the folder {spec.root} of the data set `{spec.type}` {what}; check `root`")


def some(names: Iterable[object], most: int = MOST_NAMED) -> str:
    """The first few of some things, and how many more there are: `a, b, c and 7 more`."""
    listed = list(map(str, names))
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def held_by(folder: Path) -> str:
    """What a folder holds, for a message."""
    try:
        found = sorted(name + "/" * (folder / name).is_dir() for name in os.listdir(folder) if name[0] != ".")
    except OSError as error:
        return f"{folder} cannot be listed: {error.strerror or error}"
    return f"{folder} holds {some(found, 6)}" if found else f"{folder} is empty"


def need_folder(path: Path, root: Path, wanted: str) -> Path:
    """A folder that a layout needs.

    Raises:
        RegistryError: it is not there; says what was expected, and what the nearest folder above holds.
    """
    if path.is_dir():
        return path
    raise _absent("folder", path, root, wanted)


def need_file(path: Path, root: Path, wanted: str) -> Path:
    """A file that a layout needs; raises as `need_folder` does."""
    if path.is_file():
        return path
    raise _absent("file", path, root, wanted)


def _absent(what: str, path: Path, root: Path, wanted: str) -> RegistryError:
    nearest = path.parent
    while not nearest.is_dir() and nearest != root and nearest != nearest.parent:
        nearest = nearest.parent
    return RegistryError(f"there is no {what} {path}; expected {wanted}, but {held_by(nearest)}")


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; raises RegistryError where it cannot be listed."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir() and entry.name[0] != ".")


def pictures_in(folder: Path) -> list[str]:
    """Names of the files in a folder that have the suffix of a picture, sorted, without hidden ones."""
    entries = (entry for entry in _entries(folder) if entry.name[0] != "." and not entry.is_dir())
    return sorted(entry.name for entry in entries if _PICTURE.fullmatch(os.path.splitext(entry.name)[1]))


def pictures_below(folder: Path) -> list[str]:
    """Paths of all pictures below a folder, relative to it and with `/`, sorted; links to folders are followed, once each."""
    found: list[str] = []
    seen: set[str] = set()
    waiting = [(folder, "")]
    while waiting:
        here, prefix = waiting.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        found += [prefix + name for name in pictures_in(here)]
        waiting += [(here / name, f"{prefix}{name}/") for name in folders_in(here)]
    return sorted(found)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise RegistryError(f"the folder {folder} cannot be listed: {error.strerror or error}") from error


def need_files(folder: Path, names: Sequence[str], *, named_by: Path) -> None:
    """Holds that every named file is in a folder or below it; each folder is listed once.

    Raises:
        RegistryError: a path leaves the folder, or some files are not there, with the first few.
    """
    listed: dict[Path, frozenset[str]] = {}
    missing = []
    for name in names:
        path = inside(folder, name, where=str(named_by))
        if path.parent not in listed:
            is_there = path.parent.is_dir()
            listed[path.parent] = frozenset(entry.name for entry in _entries(path.parent)) if is_there else frozenset()
        if path.name not in listed[path.parent]:
            missing.append(name)
    if missing:
        count = f"{len(missing)} of {len(names)} pictures"
        raise RegistryError(f"{count} that {named_by} names are not in {folder}: {some(missing)}; {held_by(folder)}")


class Complaints:
    """What is wrong with the entries of one file, told together.

    Args:
        file: where they stand.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: list[str] = []

    def add(self, text: str) -> None:
        """One thing that is wrong, with its place."""
        self._found.append(text)

    def tell(self, advice: str) -> None:
        """Raises RegistryError with the first few, if there are any."""
        if self._found:
            many = f"{len(self._found)} entries of {self._file} are wrong" if len(self._found) > 1 else str(self._file)
            raise RegistryError(f"{many}: {'; '.join(self._found[:MOST_NAMED])}; {advice}")
