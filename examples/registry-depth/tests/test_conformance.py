"""What every part of a plugin must do, checked by the registry's own kit."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from PIL import Image

from registry.testing import conformance

_FOLDER = Path(tempfile.gettempdir()) / f"depth_pairs_{uuid.uuid4().hex}"  # the kit wants its name before it is there


@pytest.fixture(autouse=True, scope="module")
def pairs() -> Iterator[None]:
    """Two pairs for each split, where the kit looks for them."""
    for split in ("train", "validation"):
        for kind in ("images", "depth"):
            (_FOLDER / split / kind).mkdir(parents=True)
        for index in range(2):
            depth = numpy.linspace(500, 3000 + 1000 * index, 64, dtype=numpy.uint16)
            Image.fromarray(numpy.tile(depth, (48, 1))).save(_FOLDER / split / "depth" / f"{index}.png")
            Image.new("RGB", (64, 48), (200, 90, 60 * index)).save(_FOLDER / split / "images" / f"{index}.jpg")
    yield
    shutil.rmtree(_FOLDER)


test_conformance = conformance("depth", settings={"dataset-depth_pairs": {"folder": str(_FOLDER)}})
