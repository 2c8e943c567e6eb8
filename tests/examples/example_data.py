"""Small data sets on which the examples train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image


def rectangles(folder: Path) -> str:
    """Red and blue rectangles in COCO's format: six to train on, three to measure."""
    (folder / "annotations").mkdir(parents=True)
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    for split, count in (("train", 6), ("val", 3)):
        (folder / f"{split}2017").mkdir()
        held: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
        for index in range(1, count + 1):
            picture = Image.new("RGB", (64, 64), (30, 30, 30))
            picture.paste((255, 0, 0) if index % 2 else (0, 0, 255), (8, 8, 40, 40))
            picture.save(folder / f"{split}2017" / f"{index}.png")
            held["images"].append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 64})
            box = {"bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0, "category_id": 2 - index % 2}
            held["annotations"].append({"id": index, "image_id": index, **box})
        (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(held))
    return f"{folder}/"


def walls(folder: Path) -> str:
    """Pictures of a grey with a depth that grows from left to right, all of one size: six to train on, three to measure."""
    for split, count in (("train", 6), ("validation", 3)):
        for name in ("images", "depth"):
            (folder / split / name).mkdir(parents=True)
        for index in range(count):
            depth = Image.new("I;16", (64, 64))
            depth.putdata([500 + 300 * index + 20 * (place % 64) for place in range(64 * 64)])  # millimetres
            depth.save(folder / split / "depth" / f"{index}.png")
            Image.new("RGB", (64, 64), (200 - 30 * index,) * 3).save(folder / split / "images" / f"{index}.jpg")
    document = folder / "walls.yaml"
    document.write_text(f"kind: dataset\nname: walls\nsummary: walls\ntype: depth_pairs\nfolder: {folder}\n")
    return str(document)
