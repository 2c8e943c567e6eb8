"""Where fetched weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from registry.errors import WeightsError

VARIABLE = "REGISTRY_CACHE"
_APPLICATION = "vision-registry"


def cache_path() -> Path:
    """The folder that fetched weights are kept in, whether or not it exists.

    It is `weights` below the folder named by REGISTRY_CACHE, or else below the user's cache folder.
    """
    named = os.environ.get(VARIABLE)
    root = Path(named) if named else Path(platformdirs.user_cache_dir(_APPLICATION, appauthor=False))
    try:
        return root.expanduser().absolute() / "weights"
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"cannot tell which folder {str(root)!r} is: {error}; {_remedy()}") from error


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
