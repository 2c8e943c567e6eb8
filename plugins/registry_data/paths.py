"""Paths that stay inside a folder: those of settings, and those that annotation files name."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from registry.errors import RegistryError


def leaves(path: str) -> bool:
    """Whether a relative path is absolute or climbs above the folder it starts from, on any system; links are not followed."""
    forms = (PurePosixPath(path), PureWindowsPath(path))
    return "\0" in path or any(form.is_absolute() or form.anchor or ".." in form.parts for form in forms)


def inside(folder: Path, name: str, *, where: str) -> Path:
    """The file that an annotation means by a path relative to a folder.

    Args:
        where: what names it, for the message.

    Raises:
        RegistryError: the path is empty, absolute, or climbs out of the folder.
    """
    if not name or leaves(name):
        raise RegistryError(
            f"{where} names the file {name!r}, which does not lie inside {folder}; write a path below it"
        )
    return folder / name


def _stays(path: str) -> str:
    if leaves(path):
        text = "{path} leaves the folder `root`; write a path below `root`, and set `root` to a folder that holds everything"
        raise PydanticCustomError("outside_root", text, {"path": repr(path)})
    return path


#: A path below the folder `root` of a data set.
Below = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_stays)]
