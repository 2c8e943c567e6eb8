"""How often the right class is the likeliest, or among the likeliest five."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry.errors import RegistryError
from registry.tasks import Metric

if TYPE_CHECKING:
    import torch

    from registry_classification.task import Classification


class Accuracy(Metric["Classification"]):
    """`top1` and `top5`, shares of all images, 0 to 1; `top5` only where results name five classes or more.

    Args:
        shown: how many classes each result names.
    """

    headline = "top1"

    def __init__(self, shown: int) -> None:
        self._hits = dict.fromkeys([1, 5] if shown >= 5 else [1], 0)
        self._images = 0

    def update(self, results: Sequence[Classification], targets: torch.Tensor) -> None:
        """Adds images with their labels, int64 (N)."""
        for result, label in zip(results, targets.tolist(), strict=True):
            ranked = [score.index for score in result.top]
            self._images += 1
            for count in self._hits:
                self._hits[count] += label in ranked[:count]

    def compute(self) -> dict[str, float]:
        """The shares by name."""
        if not self._images:
            raise RegistryError("accuracy of no image; give at least one")
        return {f"top{count}": hits / self._images for count, hits in self._hits.items()}
