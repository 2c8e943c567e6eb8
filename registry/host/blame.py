"""Where in a plugin's code something went wrong."""

from __future__ import annotations

import os
from pathlib import Path

_CORE = str(Path(__file__).resolve().parents[1]) + os.sep
#: Packages whose own lines tell an author nothing.
_LIBRARIES = ("torch", "torchvision", "pydantic", "pluggy", "PIL", "importlib")


def place_of(error: BaseException) -> str:
    """` at FILE:LINE`, the innermost line that is neither of the core nor of a library; empty where there is none."""
    import traceback

    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parts = Path(frame.filename).parts
        if frame.filename.startswith((_CORE, "<")) or any(library in parts for library in _LIBRARIES):
            continue
        return f" at {frame.filename}:{frame.lineno}"
    return ""
