"""COCO's average precision of a detector on scenes, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from registry.errors import MissingExtraError
from registry_demo.scenes import SIDE, Scene


def ap50(scenes: Sequence[Scene], results: list[dict[str, Any]], classes: int) -> float:
    """Average precision at an overlap (IoU) of 0.5, mean over classes, 0 to 1.

    Args:
        results: in COCO's result format; `image_id` is a scene's index plus one.
        classes: number of classes, 1 to `classes`.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise MissingExtraError("measuring a detector", "coco", "pycocotools") from error
    if not results:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress by printing
        truth = COCO()
        truth.dataset = _dataset(scenes, classes)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return max(float(evaluation.stats[1]), 0.0)


def _dataset(scenes: Sequence[Scene], classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, start=1):
        for (x1, y1, x2, y2), label in zip(scene.boxes.tolist(), scene.labels.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            entry = {"image_id": image_id, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, **entry})
    return {
        "images": [{"id": i, "width": SIDE, "height": SIDE} for i in range(1, len(scenes) + 1)],
        "annotations": annotations,
        "categories": [{"id": index} for index in range(1, classes + 1)],
    }
