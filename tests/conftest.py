"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and weights that lies beside a development checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("REGISTRY_TEST_DATA", _HERE.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real images and weights of a development checkout, which are not at {folder}")
    return folder
