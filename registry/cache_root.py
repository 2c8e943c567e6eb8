"""The folder below which everything is kept that can be fetched or computed again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "REGISTRY_CACHE"
_APPLICATION = "vision-registry"


def cache_root() -> Path:
    """The folder named by REGISTRY_CACHE, or else the user's cache folder; it need not exist.

    Raises:
        OSError, RuntimeError: the folder cannot be told, such as that of an unknown user.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform.startswith("linux"):  # the same folder, without the time that importing the library takes
        return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache").absolute() / _APPLICATION
    import platformdirs

    return Path(platformdirs.user_cache_dir(_APPLICATION, appauthor=False)).expanduser().absolute()
