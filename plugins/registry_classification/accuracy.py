"""How often the right class is the likeliest, or among the likeliest five, and what it was taken for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from registry.errors import RegistryError
from registry.tasks import Confusion, Details, Metric, class_names, paired

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
        self._taken: Counter[tuple[int, int]] = Counter()  # by truth and likeliest class

    def update(self, results: Sequence[Classification], targets: torch.Tensor) -> None:
        """Adds images with their labels, int64 (N)."""
        for result, label in paired(results, targets.tolist()):
            ranked = [score.index for score in result.top]
            self._images += 1
            self._taken[label, ranked[0]] += 1
            for count in self._hits:
                self._hits[count] += label in ranked[:count]

    def compute(self) -> dict[str, float]:
        """The shares by name."""
        if not self._images:
            raise RegistryError("accuracy of no image; give at least one")
        return {f"top{count}": hits / self._images for count, hits in self._hits.items()}

    def details(self, label: Callable[[int], str]) -> Details:
        """The confusion matrix over the classes that occur in truth or results, and figures of each of them: `recall`, the
        share of its images that were named so; `precision`, the share of images named so that are it; `images`. A share of no
        image is left out."""
        occurring = sorted({index for pair in self._taken for index in pair})
        counts = tuple(tuple(self._taken[truth, found] for found in occurring) for truth in occurring)
        names, classes = class_names(occurring, label), {}
        for place in range(len(occurring)):
            images, named = sum(counts[place]), sum(row[place] for row in counts)
            shares = {"recall": images, "precision": named}
            figures = {name: counts[place][place] / total for name, total in shares.items() if total}
            classes[names[place]] = {**figures, "images": images}
        return Details(classes, Confusion(tuple(names), counts))
