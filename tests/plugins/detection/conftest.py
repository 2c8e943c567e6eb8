"""Two real photos with their boxes, small enough for a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor

    Batch = tuple[list[Tensor], list[dict[str, Any]]]

_FILES = ("000000084284.jpg", "000000331352.jpg")  # 500x375 and 351x500 pixels


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small wait longer for other threads than they compute."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(shared_data: Path) -> Batch:
    """Images (3, H, W) of a quarter of their size, which differs, and targets with COCO's own boxes and labels."""
    torch = pytest.importorskip("torch")
    pil = pytest.importorskip("PIL.Image")
    functional = pytest.importorskip("torchvision.transforms.functional")
    folder = shared_data / "coco_permissive"
    truth = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    numbers = {image["file_name"]: image["id"] for image in truth["images"]}
    images, targets = [], []
    for file in _FILES:
        photo = pil.open(folder / "images" / file).convert("RGB")
        width, height = photo.width // 4, photo.height // 4
        images.append(functional.to_tensor(photo.resize((width, height))))
        objects = [a for a in truth["annotations"] if a["image_id"] == numbers[file] and not a["iscrowd"]]
        corners = torch.tensor([a["bbox"] for a in objects])
        corners[:, 2:] += corners[:, :2]
        scale = torch.tensor([width / photo.width, height / photo.height] * 2)
        labels = torch.tensor([a["category_id"] for a in objects])
        targets.append({"boxes": corners * scale, "labels": labels})
    return images, targets
