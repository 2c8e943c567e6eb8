"""How well masks agree with the truth: a confusion matrix of pixels, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from registry.errors import RegistryError
from registry.tasks import Confusion, Details, Metric, class_names, paired

if TYPE_CHECKING:
    from registry_segmentation.task import Segmentation


class Overlap(Metric["Segmentation"]):
    """`miou`, `pixel_accuracy`, and `iou/LABEL` of each class that occurs in the truth or in a mask, all 0 to 1.

    The overlap (IoU) of a class is the number of pixels that are and were called it, divided by those that are or were; `miou`
    is the mean over the classes that occur. Source: torchvision/references/segmentation/utils.py, `ConfusionMatrix`, which
    gives no mean where a class does not occur.

    Args:
        num_classes: of the model.
        ignore_index: id of pixels that do not count.
        label: the name of a class.
    """

    headline = "miou"

    def __init__(self, num_classes: int, ignore_index: int, label: Callable[[int], str]) -> None:
        self._matrix = torch.zeros((num_classes, num_classes), dtype=torch.int64)  # rows: truth, columns: found
        self._ignore = ignore_index
        self._label = label

    def update(self, results: Sequence[Segmentation], targets: torch.Tensor) -> None:
        """Adds images with their masks, int64 (N, H, W), each as large as the result's."""
        count = len(self._matrix)
        for result, truth in paired(results, targets.cpu()):
            if result.mask.shape != truth.shape:
                sizes = f"{tuple(result.mask.shape)} and {tuple(truth.shape)}"
                raise RegistryError(f"a mask and its truth differ in size, {sizes}; ask for masks of the truth's size")
            counted = truth != self._ignore
            largest = int(truth[counted].max()) if counted.any() else 0
            if largest >= count:
                raise RegistryError(f"a mask holds the class {largest}, and the model tells {count} apart, from 0")
            pairs = truth[counted].long() * count + result.mask[counted].long()
            self._matrix += torch.bincount(pairs, minlength=count * count).reshape(count, count)

    def compute(self) -> dict[str, float]:
        """The figures by name."""
        pixels = int(self._matrix.sum())
        if not pixels:
            raise RegistryError("the overlap of no pixel; give at least one image whose mask is not all ignored")
        right = self._matrix.diagonal().double()
        union = self._matrix.sum(0) + self._matrix.sum(1) - self._matrix.diagonal()
        occurring = union.nonzero().flatten().tolist()
        overlaps = (right[occurring] / union[occurring]).tolist()
        each = {f"iou/{self._label(index)}": value for index, value in zip(occurring, overlaps, strict=True)}
        return {"miou": sum(overlaps) / len(overlaps), "pixel_accuracy": float(right.sum()) / pixels, **each}

    def details(self, label: Callable[[int], str]) -> Details:
        """Pixels taken for other classes, and of each class that occurs `iou`, `recall` (the share of its pixels that were
        found) where it has any, and `pixels` of the truth."""
        truth, found = self._matrix.sum(1), self._matrix.sum(0)
        occurring = (truth + found).nonzero().flatten().tolist()
        names, classes = class_names(occurring, label), {}
        for name, index in zip(names, occurring, strict=True):
            right, pixels = int(self._matrix[index, index]), int(truth[index])
            figures = {"iou": right / (pixels + int(found[index]) - right)}
            classes[name] = {**figures, **({"recall": right / pixels} if pixels else {}), "pixels": pixels}
        counts = tuple(tuple(row) for row in self._matrix[occurring][:, occurring].tolist())
        return Details(classes, Confusion(tuple(names), counts))
