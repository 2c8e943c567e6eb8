"""COCO's average precision and recall, computed by pycocotools, or in a part of the time by faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from registry.errors import MissingExtraError, RegistryError
from registry.tasks import Details, Metric, class_names, paired

if TYPE_CHECKING:
    import torch

    from registry_detection.task import Detections

#: COCO's twelve figures, in its order: precision at ten overlaps, at 0.5, at 0.75, by size of the object; then recall.
FIGURES = (
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
)


class AveragePrecision(Metric["Detections"]):
    """COCO's figures over all images, 0 to 1; -1 where the truth holds no object of that size.

    Every answer counts, weighed by its score: measure a model with a score threshold near 0.

    Args:
        num_classes: of the model, background counted, as the head's.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """

    headline = "ap"
    backends = ("pycocotools", "faster")

    def __init__(self, num_classes: int) -> None:
        try:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        except ImportError as error:
            raise MissingExtraError("measuring a detector", "coco", "pycocotools") from error
        self._coco, self._evaluation = COCO, COCOeval
        self._categories = [{"id": index} for index in range(num_classes)]
        self._images = 0
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._computed: Any = None

    def use_backend(self, name: str) -> None:
        """`pycocotools`, or `faster` for faster-coco-eval, whose figures are the same.

        Raises:
            RegistryError: another name.
            MissingExtraError: faster-coco-eval is not installed.
        """
        if name == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval

            self._coco, self._evaluation = COCO, COCOeval
        elif name == "faster":
            try:
                faster = import_module("faster_coco_eval")
            except ImportError as error:
                raise MissingExtraError("the backend `faster`", "train", "faster-coco-eval") from error
            self._coco, self._evaluation = faster.COCO, faster.COCOeval_faster
        else:
            super().use_backend(name)
        self._computed = None

    def update(self, results: Sequence[Detections], targets: Sequence[dict[str, torch.Tensor]]) -> None:
        """Adds images: their boxes, and the truth as `boxes`, `labels` and, where they are there, `iscrowd` and `area`."""
        self._computed = None
        for result, target in paired(results, targets):
            self._images += 1
            self._truth += _truth(target, self._images)
            for box in result.boxes:
                corners = (box.x1, box.y1, box.x2, box.y2)
                self._found.append({**_entry(corners, self._images, box.index), "score": box.score})

    def compute(self) -> dict[str, float]:
        """The twelve figures by their names in `FIGURES`."""
        return dict(zip(FIGURES, (float(value) for value in self._evaluated().stats[: len(FIGURES)]), strict=True))

    def details(self, label: Callable[[int], str]) -> Details:
        """`ap`, `ap50` and `objects` (crowds left out) of each class that the truth holds, under its name."""
        evaluation = self._evaluated()
        # axes: ten overlaps from 0.5, 101 recalls, classes, sizes (the first is every size), limits (the last is 100 answers)
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        objects = Counter(entry["category_id"] for entry in self._truth if not entry["iscrowd"])
        classes = {}
        names = class_names([*evaluation.params.catIds], label)
        for place, index in enumerate(evaluation.params.catIds):
            if objects[index]:
                overlaps = precision[:, :, place]
                figures = {"ap": float(overlaps.mean()), "ap50": float(overlaps[0].mean())}
                classes[names[place]] = {**figures, "objects": objects[index]}
        return Details(classes)

    def _evaluated(self) -> Any:
        if not self._images:
            raise RegistryError("average precision of no image; give at least one")
        if self._computed is None:
            with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress by printing
                evaluation = self._evaluation(self._dataset(self._truth), self._dataset(self._found), "bbox")
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
            self._computed = evaluation
        return self._computed

    def _dataset(self, annotations: list[dict[str, Any]]) -> Any:
        coco = self._coco()
        coco.dataset = {
            "images": [{"id": index} for index in range(1, self._images + 1)],
            "annotations": [{"id": index, **annotation} for index, annotation in enumerate(annotations, start=1)],
            "categories": self._categories,
        }
        coco.createIndex()
        return coco


def _truth(target: dict[str, torch.Tensor], image: int) -> list[dict[str, Any]]:
    boxes, labels = target["boxes"].tolist(), target["labels"].tolist()
    crowds = target["iscrowd"].tolist() if "iscrowd" in target else [0] * len(boxes)
    areas = target["area"].tolist() if "area" in target else [None] * len(boxes)
    for name, values in (("labels", labels), ("iscrowd", crowds), ("area", areas)):
        if len(values) != len(boxes):
            raise RegistryError(
                f"a truth holds {len(boxes)} boxes and {len(values)} values of `{name}`; give one a box"
            )
    entries = [_entry(box, image, label, int(crowd)) for box, label, crowd in zip(boxes, labels, crowds, strict=True)]
    for entry, area in zip(entries, areas, strict=True):
        entry["area"] = entry["area"] if area is None else area
    return entries


def _entry(corners: Sequence[float], image: int, category: int, crowd: int = 0) -> dict[str, Any]:
    x1, y1, x2, y2 = corners
    box = [x1, y1, x2 - x1, y2 - y1]
    return {"image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
