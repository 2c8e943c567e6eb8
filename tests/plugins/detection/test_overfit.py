"""The detector learns: four real images, by COCO's own metric."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import registry
from registry.images import read_image

pytestmark = pytest.mark.slow
STEPS = 150


def pictures_with_large_objects(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Four images without crowds whose two or more objects are all at least 15 % of the shorter side."""
    held = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    of: dict[int, list[dict[str, Any]]] = {}
    for annotation in held["annotations"]:
        of.setdefault(annotation["image_id"], []).append(annotation)

    def fits(image: dict[str, Any]) -> bool:
        least = 0.15 * min(image["width"], image["height"])
        objects = of.get(image["id"], [])
        return len(objects) >= 2 and all(not a["iscrowd"] and min(a["bbox"][2:]) > least for a in objects)

    images = sorted((image for image in held["images"] if fits(image)), key=lambda image: image["id"])[:4]
    return images, [annotation for image in images for annotation in of[image["id"]]]


def ap50(images: list[dict[str, Any]], annotations: list[dict[str, Any]], results: list[dict[str, Any]]) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [{"id": index} for index in sorted({a["category_id"] for a in annotations})]
        truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1])


def test_faster_rcnn_overfits_four_real_images(shared_data: Path) -> None:
    folder = shared_data / "coco_permissive"
    images, annotations = pictures_with_large_objects(folder)
    weights = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    torch.manual_seed(0)
    model = registry.build(
        "fasterrcnn_mnv3_small_320_fpn",
        backbone_weights=weights,
        overrides={
            "head.image": {"min_size": 160, "max_size": 240},
            "head.rpn": {"pre_nms_top_n_train": 300, "post_nms_top_n_train": 300},
            "head.box.batch_size_per_image": 128,
            "backbone.trainable_stages": 6,
        },
    )
    spec: Any = model.spec
    task = registry.default_registry().task(spec)
    inputs = [task.preprocess(read_image(folder / "images" / image["file_name"])) for image in images]
    targets = []
    for image in images:
        own = [a for a in annotations if a["image_id"] == image["id"]]
        boxes = torch.tensor([a["bbox"] for a in own])
        boxes[:, 2:] += boxes[:, :2]
        targets.append({"boxes": boxes, "labels": torch.tensor([a["category_id"] for a in own])})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        losses = task.losses(model, inputs, targets, spec.head)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        output = model.eval()(inputs)
    results = [
        {
            "image_id": image["id"],
            "category_id": label,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for image, found in zip(images, output, strict=True)
        for (x1, y1, x2, y2), label, score in zip(
            found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True
        )
    ]
    assert ap50(images, annotations, results) > 0.9
