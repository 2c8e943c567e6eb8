"""What a reference to a document means: a path, or a name."""

from __future__ import annotations

from pathlib import Path

from registry.catalog.documents import YAML_SUFFIXES

CHECKPOINT_SUFFIX = ".safetensors"


def is_path(reference: str) -> bool:
    """True if it starts with `.`, `/` or `~`, or ends in a known suffix; never decided by what lies in the folder."""
    return reference.startswith((".", "/", "~")) or reference.lower().endswith((*YAML_SUFFIXES, CHECKPOINT_SUFFIX))


def is_checkpoint(reference: str) -> bool:
    """True for the path of a checkpoint file."""
    return reference.lower().endswith(CHECKPOINT_SUFFIX)


def inside(reference: str, folder: Path, root: Path) -> Path | None:
    """The file that a document in `folder` means by a path, or None if it leaves `root`, symbolic links followed."""
    path = (folder / Path(reference).expanduser()).resolve()
    return path if path.is_relative_to(root.resolve()) else None
