"""What a reference to a document means: a path, or a name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeGuard

from registry.catalog.documents import YAML_SUFFIXES

CHECKPOINT_SUFFIX = ".safetensors"


def is_path(reference: str) -> bool:
    """True if it starts with `.`, `/` or `~`, or ends in a known suffix; never decided by what lies in the folder."""
    return reference.startswith((".", "/", "~")) or reference.lower().endswith((*YAML_SUFFIXES, CHECKPOINT_SUFFIX))


def is_checkpoint(reference: object) -> TypeGuard[str | os.PathLike[str]]:
    """True for the path of a checkpoint file."""
    return isinstance(reference, (str, os.PathLike)) and os.fspath(reference).lower().endswith(CHECKPOINT_SUFFIX)


def user_path(text: str) -> Path:
    """A path as its user means it: `~` is the home folder, where there is one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def inside(reference: str, folder: Path, root: Path) -> Path | None:
    """The file that a document in `folder` means by a path, or None if it leaves `root`, symbolic links followed.

    Raises:
        OSError, ValueError, RuntimeError: the path cannot be followed: a circle of links, a name too long, no such user.
    """
    path = (folder / Path(reference).expanduser()).resolve()
    return path if path.is_relative_to(root.resolve()) else None
