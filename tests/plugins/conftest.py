"""What tests of trainings share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def dark_and_bright(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """Makes a folder of dark and bright noise, of 32 pixels: so many pictures of each class to train and to validate on."""

    def make(training: int, validation: int) -> Path:
        root = tmp_path_factory.mktemp("data")
        draw = random.Random(0)
        for split, count in (("train", training), ("val", validation)):
            for name, level in (("bright", 170), ("dark", 40)):
                folder = root / split / name
                folder.mkdir(parents=True)
                for index in range(count):
                    pixels = bytes(level + draw.randrange(60) for _ in range(32 * 32))
                    Image.frombytes("L", (32, 32), pixels).save(folder / f"{index}.png")
        return root

    return make
