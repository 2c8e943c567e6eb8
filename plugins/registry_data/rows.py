"""Tables as rows: CSV, tab-separated values and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.errors import RegistryError

_LARGEST: Final = 512 * 2**20
_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_LINES: Final = (".jsonl", ".ndjson")
#: What names of tables end in.
SUFFIXES: Final = (*_SEPARATORS, *_LINES)
#: A row with its line in the file.
Row = tuple[int, Mapping[str, Any]]


def read_rows(file: Path) -> list[Row]:
    """The rows of a table with their lines, each as a mapping from column to value.

    Raises:
        RegistryError: it cannot be read, is over 512 MiB, has another suffix, or is no such table.
    """
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise RegistryError(f"{file} is no table: its name must end in .csv, .tsv, .jsonl or .ndjson")
    try:
        if file.stat().st_size > _LARGEST:
            raise RegistryError(f"{file} is larger than {_LARGEST // 2**20} MiB; split it, or leave out columns")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RegistryError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{file} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    return list(_csv(file, text, _SEPARATORS[suffix]) if suffix in _SEPARATORS else _json_lines(file, text))


def _csv(file: Path, text: str, separator: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                cells = len(reader.fieldnames or ())
                raise RegistryError(f"{file}: line {reader.line_num} has not {cells} cells, as the header has; mend it")
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise RegistryError(f"{file}: line {reader.line_num} is not CSV: {error}") from error
    return rows


def _json_lines(file: Path, text: str) -> list[Row]:
    rows: list[Row] = []
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            row = json.loads(part)
        except (ValueError, RecursionError) as error:
            raise RegistryError(f"{file}: line {line} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise RegistryError(f"{file}: line {line} is a {type(row).__name__}; write a mapping a line")
        rows.append((line, row))
    return rows
