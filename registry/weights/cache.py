"""Where fetched weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

from registry.cache_root import VARIABLE, cache_root
from registry.errors import WeightsError


def cache_path() -> Path:
    """The folder that fetched weights are kept in, whether or not it exists: `weights` below `cache_root`."""
    try:
        return cache_root() / "weights"
    except (OSError, RuntimeError) as error:
        named = os.environ.get(VARIABLE)
        raise WeightsError(f"cannot tell which folder {named!r} is: {error}; {_remedy()}") from error


def cache_folder() -> Path:
    """The folder that fetched weights are kept in, created when needed and writable.

    Raises:
        WeightsError: when it cannot be created or written.
    """
    folder = cache_path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"cannot create the cache folder {folder}: {error.strerror}; {_remedy()}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WeightsError(f"the cache folder {folder} is not writable; {_remedy()}")
    return folder


def _remedy() -> str:
    return f"set the environment variable {VARIABLE} to a folder that can be written"
