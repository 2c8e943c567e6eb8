"""How far two outputs of one model are apart: numbers, and answers that agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torchvision.ops import box_iou

from registry_export.forms import tensors_of

#: Overlap (IoU) from which two boxes of one label are one answer.
_SAME = 0.9


@dataclass(frozen=True)
class Distance:
    """How far outputs are apart.

    Attributes:
        largest: largest difference of two numbers.
        share: largest difference as a share of the largest magnitude of its tensor, 0 where both are equal.
        agreeing, answers: how many answers there are, and how many of them agree; none where outputs are no answers.
    """

    largest: float = 0.0
    share: float = 0.0
    agreeing: int = 0
    answers: int = 0

    def __add__(self, other: Distance) -> Distance:
        """The same for both together."""
        return Distance(
            max(self.largest, other.largest),
            max(self.share, other.share),
            self.agreeing + other.agreeing,
            self.answers + other.answers,
        )

    @property
    def agreement(self) -> float | None:
        """Share of answers that agree, or None where there are none."""
        return self.agreeing / self.answers if self.answers else None


def distance(wanted: Any, found: Any) -> Distance:
    """How far an output is from the one that is wanted.

    Lists of `boxes`, `labels` and `scores` are compared box by box, whatever their order; others number by number, and where
    the second axis has several entries, by the largest of them. Outputs of different shapes are infinitely far apart.
    """
    if isinstance(wanted, (list, tuple)) and all(_is_detection(each) for each in wanted):
        if len(wanted) != len(found):
            return Distance(float("inf"), float("inf"), 0, len(wanted))
        return sum((_detections(a, b) for a, b in zip(wanted, found, strict=True)), Distance())
    first, second = tensors_of(wanted), tensors_of(found)
    if [tuple(a.shape) for a in first] != [tuple(b.shape) for b in second]:
        return Distance(float("inf"), float("inf"), 0, 1)
    return sum((_numbers(a, b) for a, b in zip(first, second, strict=True)), Distance())


def is_detections(output: Any) -> bool:
    """True for a list of detections."""
    return isinstance(output, (list, tuple)) and bool(output) and all(_is_detection(each) for each in output)


def _is_detection(each: Any) -> bool:
    return isinstance(each, Mapping) and {"boxes", "labels", "scores"} <= set(each)


def _numbers(a: torch.Tensor, b: torch.Tensor) -> Distance:
    if a.numel() == 0:
        return Distance()
    first, second = a.double(), b.double()
    largest, share = _apart(first, second)
    if a.dim() < 2 or a.shape[1] < 2:
        return Distance(largest, share)
    same = first.argmax(1) == second.argmax(1)
    return Distance(largest, share, int(same.sum()), same.numel())


def _apart(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Largest difference, and its share of the largest magnitude."""
    if first.numel() == 0:
        return 0.0, 0.0
    largest = float((first - second).abs().max())
    if largest != largest:
        return float("inf"), float("inf")
    scale = float(first.abs().max())
    return largest, 0.0 if largest == 0 else largest / scale if scale > 0 else float("inf")


def _detections(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> Distance:
    """Each wanted box is matched with the box of its label that is nearest in score among those that lie over it."""
    count = max(len(wanted["boxes"]), len(found["boxes"]))
    if count == 0:
        return Distance(agreeing=1, answers=1)  # that there is nothing
    pairs = _pairs(wanted, found)
    if not pairs:
        return Distance(0.0, 0.0, 0, count)
    rows, columns = (list(each) for each in zip(*pairs, strict=True))
    far = Distance(agreeing=len(pairs), answers=count)
    for key in ("boxes", "scores"):
        largest, share = _apart(wanted[key][rows].double(), found[key][columns].double())
        far += Distance(largest, share)
    return far


def _pairs(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[tuple[int, int]]:
    if not len(wanted["boxes"]) or not len(found["boxes"]):
        return []
    over = box_iou(wanted["boxes"].float(), found["boxes"].float()) >= _SAME
    over |= torch.cdist(wanted["boxes"].double(), found["boxes"].double(), p=float("inf")) < 0.01  # of no area
    fits = over & (wanted["labels"][:, None] == found["labels"][None])
    apart = (wanted["scores"][:, None].double() - found["scores"][None].double()).abs()
    apart[~fits] = float("inf")
    pairs: list[tuple[int, int]] = []
    for row in range(len(apart)):
        best = int(apart[row].argmin())
        if apart[row, best] != float("inf"):
            pairs.append((row, best))
            apart[:, best] = float("inf")
    return pairs


def scores_of(outputs: Sequence[Mapping[str, torch.Tensor]]) -> list[list[float]]:
    """The scores of each image's detections, best first."""
    return [sorted(output["scores"].tolist(), reverse=True) for output in outputs]
