"""The header of a safetensors file, read with the standard library alone.

The format: 8 bytes, little endian, that say how long the header is; the header, a JSON object; the tensors' bytes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.errors import WeightsError

# The format's own limit; without it a few damaged bytes could ask for any amount of memory.
HEADER_LIMIT = 100_000_000
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Header:
    """A parsed header, where the tensors' bytes start, and how long the file is."""

    entries: dict[str, Any]
    start: int
    size: int


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file.

    Raises:
        WeightsError: when the file cannot be read, is no safetensors file, or ends before its header does.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if size < _LENGTH_BYTES:
                raise WeightsError(f"{path} is no safetensors file, or was cut short: it has only {size} bytes")
            if length > HEADER_LIMIT:
                raise WeightsError(
                    f"{path} is no safetensors file: it announces a header of {length} bytes, the format allows "
                    f"{HEADER_LIMIT}"
                )
            if length > size - _LENGTH_BYTES:
                raise WeightsError(
                    f"{path} was cut short: its header has {length} bytes, of which {size - _LENGTH_BYTES} are there; "
                    "fetch or save it again"
                )
            text = file.read(length)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    return Header(_parsed(path, text), _LENGTH_BYTES + length, size)


def read_metadata(path: Path) -> dict[str, str]:
    """The `__metadata__` of a safetensors file, without importing torch or safetensors.

    Returns:
        The metadata, empty when the file has none.

    Raises:
        WeightsError: when the file cannot be read, is no safetensors file, or ends before its header does.
    """
    metadata = read_header(path).entries.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError(f"{path} is damaged: `__metadata__` in its header is not a mapping of strings to strings")
    return metadata


def check_length(path: Path, header: Header) -> None:
    """Check that the file holds all the bytes that its header speaks of, and no more.

    Raises:
        WeightsError: when it does not.
    """
    try:
        ends = [entry["data_offsets"][1] for name, entry in header.entries.items() if name != "__metadata__"]
    except (TypeError, KeyError, IndexError):
        ends = [None]
    if not all(isinstance(end, int) for end in ends):
        raise WeightsError(f"{path} is damaged: its header does not say where each tensor lies")
    expected = header.start + max(ends, default=0)
    if header.size < expected:
        raise WeightsError(f"{path} was cut short: it has {header.size} of {expected} bytes; fetch or save it again")
    if header.size > expected:
        raise WeightsError(f"{path} is damaged: it has {header.size} bytes, its header speaks of {expected}")


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is no safetensors file, or is damaged: its header is not JSON") from error
    if not isinstance(entries, dict):
        raise WeightsError(f"{path} is no safetensors file, or is damaged: its header is not a JSON object")
    return entries
