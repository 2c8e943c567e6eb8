"""How much faster COCO's figures are computed by faster-coco-eval than by pycocotools, and that they are the same.

Run: python benchmarks/coco_eval.py INSTANCES.json [--copies N] [--boxes N] [--rounds N]; needs `vision-registry[train]`. The
answers are made up from the annotations: each box of the truth moved a little, and false ones up to `--boxes` an image. The
backends take turns in every round, in one process; medians are printed, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import registry


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instances", type=Path, help="annotations in COCO's format")
    parser.add_argument("--copies", type=int, default=10, help="how often every image is taken")
    parser.add_argument("--boxes", type=int, default=100, help="answers for an image")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds")
    options = parser.parse_args()
    overrides = {"task.score_threshold": 0.0, "task.top": options.boxes}
    spec = registry.load_spec("fasterrcnn_mnv3_large_320_fpn", overrides=overrides)
    task: Any = registry.default_registry().task(spec)
    images = _images(json.loads(options.instances.read_text(encoding="utf-8")), options.copies, options.boxes)
    pairs = [(task.postprocess([found], [(480, 640)]), [truth]) for found, truth in images]
    times: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):
        for backend in ("pycocotools", "faster"):
            metric = task.metric(spec)
            metric.use_backend(backend)
            for found, truth in pairs:
                metric.update(found, truth)
            start = time.perf_counter()
            figures[backend] = metric.compute()
            times[backend].append(time.perf_counter() - start)
    slow, quick = (statistics.median(times[backend]) for backend in ("pycocotools", "faster"))
    apart = max(abs(value - figures["faster"][name]) for name, value in figures["pycocotools"].items())
    print(f"{len(images)} images, {options.boxes} answers each")
    print(
        f"pycocotools {slow:.2f} s, faster-coco-eval {quick:.2f} s: {slow / quick:.1f}x; figures differ by {apart:.1e}"
    )


def _images(data: dict[str, Any], copies: int, boxes: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    draw = random.Random(0)
    own = defaultdict(list)
    for entry in data["annotations"]:
        own[entry["image_id"]].append(entry)
    images = []
    for picture in data["images"] * copies:
        entries = own[picture["id"]]
        corners = [_corners(entry["bbox"]) for entry in entries]
        truth = {
            "boxes": torch.tensor(corners).reshape(-1, 4),
            "labels": torch.tensor([entry["category_id"] for entry in entries], dtype=torch.int64),
            "iscrowd": torch.tensor([entry["iscrowd"] for entry in entries], dtype=torch.int64),
            "area": torch.tensor([float(entry["area"]) for entry in entries]),
        }
        found = [
            ([edge + draw.gauss(0, 8) for edge in box], entry["category_id"], draw.random())
            for box, entry in zip(corners, entries, strict=True)
        ]
        labels = [entry["category_id"] for entry in entries] or [1]
        while len(found) < boxes:
            box = _corners([draw.uniform(0, 500), draw.uniform(0, 400), draw.uniform(5, 150), draw.uniform(5, 150)])
            found.append((box, draw.choice(labels), draw.random() / 2))
        answers, names, scores = zip(*found, strict=True)
        output = {"boxes": torch.tensor(answers), "labels": torch.tensor(names), "scores": torch.tensor(scores)}
        images.append((output, truth))
    return images


def _corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y + height]


if __name__ == "__main__":
    main()
