"""Two libraries give the same figures, on real annotations with crowds and answers made up from them; figures of classes."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import registry
from registry.errors import MissingExtraError, RegistryError

SPEC = registry.load_spec("fasterrcnn_mnv3_large_320_fpn", overrides={"task.score_threshold": 0.0})
Images = list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]


def made_up(folder: Path) -> Images:
    """Every picture's real truth, and answers: boxes of it moved, dropped, doubled, misnamed, and boxes of nothing."""
    data = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    draw = random.Random(3)
    images: Images = []
    for picture in data["images"]:
        own = [entry for entry in data["annotations"] if entry["image_id"] == picture["id"]]
        corners = [[x, y, x + w, y + h] for x, y, w, h in (entry["bbox"] for entry in own)]
        truth = {
            "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor([entry["category_id"] for entry in own], dtype=torch.int64),
            "iscrowd": torch.tensor([entry["iscrowd"] for entry in own], dtype=torch.int64),
            "area": torch.tensor([entry["area"] for entry in own], dtype=torch.float32),
        }
        found: list[tuple[list[float], int, float]] = []
        for (x1, y1, x2, y2), entry in zip(corners, own, strict=True):
            for _ in range(draw.choice([0, 1, 1, 1, 2])):
                dx, dy = (draw.gauss(0, 0.12) * side for side in (x2 - x1, y2 - y1))
                label = entry["category_id"] if draw.random() < 0.9 else draw.randrange(1, 91)
                found.append(([x1 + dx, y1 + dy, x2 + dx, y2 + dy], label, draw.choice([0.5, draw.random()])))
        found += [([1.0, 2, 30, 40], draw.randrange(1, 91), draw.random()) for _ in range(3)]
        boxes, labels, scores = zip(*found, strict=True)
        answer = {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels), "scores": torch.tensor(scores)}
        images.append((answer, truth))
    return images


def measured(images: Images, backend: str | None) -> Any:
    task = registry.default_registry().task(SPEC)
    metric = task.metric(SPEC)
    if backend is not None:
        metric.use_backend(backend)
    for found, truth in images:
        metric.update(task.postprocess([found], [(480, 640)]), [truth])
    return metric


def test_both_backends_give_the_same_figures_on_real_annotations(shared_data: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="the quick backend")
    images = made_up(shared_data / "coco_permissive")
    assert sum(int(truth["iscrowd"].sum()) for _, truth in images) == 10
    slow, quick = measured(images, "pycocotools"), measured(images, "faster")
    figures = slow.compute()
    assert len(figures) == 12
    assert all(0 < value < 1 for value in figures.values())  # none that is equal for want of anything to measure
    assert quick.compute() == pytest.approx(figures, abs=1e-6)
    label = registry.default_registry().task(SPEC).label
    classes, again = slow.details(label).classes, quick.details(label).classes
    assert list(classes) == list(again)
    for name, each in classes.items():
        assert again[name] == pytest.approx(each, abs=1e-6), name
    # COCO's mean over classes is the mean of theirs, where each has an object that is no crowd
    assert sum(each["ap"] for each in classes.values()) / len(classes) == pytest.approx(figures["ap"])
    truths = Counter(int(index) for _, truth in images for index in truth["labels"][truth["iscrowd"] == 0])
    assert {name: each["objects"] for name, each in classes.items()} == {label(i): n for i, n in truths.items()}


def test_figures_of_a_class_are_its_own() -> None:
    boxes = [[0.0, 0, 40, 40], [60, 60, 90, 100]]
    found = {"boxes": torch.tensor(boxes), "labels": torch.tensor([1, 3]), "scores": torch.tensor([0.9, 0.8])}
    truth = {"boxes": torch.tensor(boxes), "labels": torch.tensor([1, 2])}
    metric = measured([(found, truth)], None)
    label = registry.default_registry().task(SPEC).label
    classes = metric.details(label).classes
    assert classes == {
        label(1): {"ap": pytest.approx(1.0), "ap50": pytest.approx(1.0), "objects": 1},
        label(2): {"ap": 0.0, "ap50": 0.0, "objects": 1},
    }


def test_what_comes_after_the_figures_counts_too() -> None:
    truth = {"boxes": torch.tensor([[0.0, 0, 40, 40]]), "labels": torch.tensor([1])}
    metric = measured([({**truth, "scores": torch.tensor([0.9])}, truth)], None)
    assert metric.compute()["ap50"] == pytest.approx(1.0)
    task = registry.default_registry().task(SPEC)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    metric.update(task.postprocess([nothing], [(50, 50)]), [truth])
    assert metric.compute()["ap50"] == pytest.approx(51 / 101)


def test_a_backend_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RegistryError, match="not computed by `quick`: pycocotools, faster"):
        measured([], "quick")
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtraError, match=r"faster-coco-eval.*vision-registry\[train\]"):
        measured([], "faster")
