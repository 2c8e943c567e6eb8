"""Checking that a file is the one that was meant, by its sha256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from registry.errors import WeightsError

# torchvision publishes the first 8 digits in its file names; fewer would say too little.
_DIGITS = re.compile(r"[0-9a-f]{8,64}")
_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """The sha256 of a file as 64 lower case hex digits, read piece by piece.

    Raises:
        WeightsError: when the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def checked_digits(expected: str) -> str:
    """An expected sha256 in lower case.

    Raises:
        WeightsError: when it is neither 64 hex digits nor the first 8 or more of them.
    """
    digits = expected.lower()
    if not _DIGITS.fullmatch(digits):
        raise WeightsError(f"{expected!r} is not a sha256; write its 64 hex digits, or at least the first 8 of them")
    return digits


def expectation(expected: str) -> str:
    """How a message names an expected sha256, whole or by its first digits."""
    return expected if len(expected) == 64 else f"one that starts with {expected}"


def verify_sha256(path: Path, expected: str) -> None:
    """Check the sha256 of a file.

    Args:
        path: the file.
        expected: 64 hex digits, or the first 8 or more of them, in either case.

    Raises:
        WeightsError: when the expected value is malformed, the file cannot be read, or it is another file.
    """
    digits = checked_digits(expected)
    found = sha256_of(path)
    if not found.startswith(digits):
        raise WeightsError(
            f"{path} is not the file that was meant: its sha256 is {found}, expected {expectation(digits)}; if it was "
            "fetched, delete it and fetch it again; if it is your own file, correct the path or the sha256 in the spec"
        )
