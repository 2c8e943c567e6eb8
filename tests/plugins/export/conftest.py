"""A small model of each kind, and pictures as files."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import lively, photo
from registry_export import flow

import registry


@pytest.fixture(scope="session")
def classifier() -> Any:
    """MobileNetV3-Small at half the width, five classes, 64 pixels."""
    return lively(
        "mobilenet_v3_small",
        backbone__width_mult=0.5,
        head__num_classes=5,
        task__categories=["ant", "bee", "cat", "dog", "elk"],
        task__preprocessing__resize=72,
        task__preprocessing__crop=64,
        weights=None,
        default_weights=None,
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two pictures of different proportions."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for seed, size in enumerate([(160, 120), (120, 150)]):
        paths.append(folder / f"photo{seed}.png")
        photo(seed, *size).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def written(classifier: Any, photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Writes the classifier with a target, once for all tests."""

    @functools.cache
    def write(target: str) -> Any:
        made = registry.default_registry()
        spec = flow.target_spec(made, target)
        path = tmp_path_factory.mktemp("written") / f"model{spec.suffix}"
        return flow.exported(made, classifier, spec, path, images=photos)

    return write
