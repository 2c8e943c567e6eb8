"""Which tables in a folder name pictures and labels. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry.errors import RegistryError
from registry_data.paths import leaves
from registry_data.rows import SUFFIXES, read_rows

_PATHS: Final = ("path", "file", "file_name", "filename", "image", "image_path")
_LABELS: Final = ("label", "class", "category", "target", "class_name")
_VALIDATION: Final = ("val", "validation", "valid")
#: A table with more bytes is not read only to find out what it is.
_LARGEST: Final = 64 * 2**20


def table_settings(folder: Path, fraction: float) -> Iterator[tuple[dict[str, Any], str]]:
    """Settings of each table at the top of a folder whose columns and paths are understood, and by what it was.

    Args:
        fraction: the share to hold out where no column `split` says.
    """
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES and file.is_file() and file.stat().st_size <= _LARGEST:
            try:
                rows = [row for _, row in read_rows(file)]
            except RegistryError:
                continue
            settings = _settings(folder, rows, fraction) if rows else None
            if settings is not None:
                columns = f"`{settings['path_column']}` and `{settings['label_column']}`"
                yield {"table": file.name, **settings}, f"{file.name} with the columns {columns}"


def _settings(folder: Path, rows: Sequence[Mapping[str, Any]], fraction: float) -> dict[str, Any] | None:
    path = next((name for name in _PATHS if name in rows[0]), None)
    label = next((name for name in _LABELS if name in rows[0]), None)
    first = str(rows[0].get(path or "", ""))
    if path is None or label is None or not first or leaves(first):
        return None
    images = next((place for place in (".", "images") if (folder / place / first).is_file()), None)
    if images is None:
        return None
    found: dict[str, Any] = {"images": images, "path_column": path, "label_column": label}
    values = {str(row.get(label)) for row in rows}
    if all(value.isascii() and value.isdecimal() for value in values):
        found["labels"] = "indices"
    splits = {str(row.get("split")) for row in rows}
    validation = next((word for word in _VALIDATION if word in splits), None)
    if "train" in splits and validation is not None:
        return {**found, "split_column": "split", "validation_value": validation}
    return {**found, "validation_fraction": fraction}
