"""Small folders of data, made anew for each test, and the data sets in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from registry_data.open import dataset_spec

import registry
from registry.registry import Registry

Build = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def installed() -> Registry:
    """The registry of everything installed."""
    return registry.default_registry()


@pytest.fixture
def build(installed: Registry) -> Build:
    """Builds a split of a data set from its type and settings."""

    def made(kind: str, split: str = "train", **settings: Any) -> Any:
        spec = dataset_spec(installed, kind, overrides=settings)
        return installed.host.target(spec)(spec, split)

    return made


@pytest.fixture
def picture() -> Write:
    """Writes a picture of one colour that differs from every other one's, with folders as needed."""
    count = 0

    def write(path: Path, size: tuple[int, int] = (12, 8), exif: int | None = None) -> Path:
        nonlocal count
        count += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, (count * 37 % 256, count * 91 % 256, count * 53 % 256))
        more: dict[str, Any] = {}
        if exif is not None:
            more["exif"] = Image.Exif()
            more["exif"][0x0112] = exif
        image.save(path, **more)
        return path

    return write


@pytest.fixture
def mask() -> Write:
    """Writes a palette picture of ids."""

    def write(path: Path, ids: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(numpy.asarray(ids, dtype=numpy.uint8)).convert("P")
        image.putdata([int(value) for row in ids for value in row])
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7 * index % 256)])
        image.save(path)
        return path

    return write


@pytest.fixture
def coco(tmp_path: Path, picture: Write) -> Write:
    """Writes a folder in COCO's format with one file: images of 20 x 10 pixels, and annotations."""

    def write(annotations: list[dict[str, Any]], images: int = 3, **changes: Any) -> Path:
        names = [f"{index}.png" for index in range(1, images + 1)]
        for name in names:
            picture(tmp_path / "pictures" / name, (20, 10))
        held: Mapping[str, Any] = {
            "images": [{"id": i, "file_name": n, "width": 20, "height": 10} for i, n in enumerate(names, start=1)],
            "categories": [{"id": 7, "name": "cup"}, {"id": 3, "name": "plate"}],
            "annotations": [{"id": i, "iscrowd": 0, "area": 50, **a} for i, a in enumerate(annotations, start=1)],
            **changes,
        }
        (tmp_path / "boxes.json").write_text(json.dumps(held), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def coco_settings() -> dict[str, Any]:
    """Settings of the folder that `coco` writes, the same file for both splits."""
    files = {"annotations": "boxes.json", "images": "pictures"}
    return {"train": files, "validation": files}
