"""How far depths are from the truth: the figures of Eigen et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from registry.errors import RegistryError
from registry.tasks import Metric
from registry_depth.checks import counted

if TYPE_CHECKING:
    from registry_depth.task import DepthMap

_THRESHOLD = 1.25


class DepthError(Metric["DepthMap"]):
    """`abs_rel`, `rmse` (metres), and `delta1` to `delta3` (0 to 1), over all pixels that count of all images.

    `abs_rel` is the mean of |depth - truth| / truth; `rmse` the root of the mean of (depth - truth)^2; `deltaK` the share of
    pixels where the larger of depth / truth and truth / depth is below 1.25^K. Source: Eigen et al., arXiv 1406.2283,
    section 4, where sums run over the pixels of the test set and not over its images.

    Args:
        min_depth, max_depth: true depths that count, in metres; the others, 0 and NaN are left out.
    """

    headline = "abs_rel"
    higher_is_better = False

    def __init__(self, min_depth: float, max_depth: float) -> None:
        self._range = (min_depth, max_depth)
        self._pixels = 0
        self._relative = self._squared = 0.0
        self._within = [0, 0, 0]

    def update(self, results: Sequence[DepthMap], targets: torch.Tensor) -> None:
        """Adds images with their true depths, float (N, H, W) in metres, each as large as the result's."""
        for result, truth in zip(results, targets.cpu(), strict=True):
            if result.depth.shape != truth.shape:
                sizes = f"{tuple(result.depth.shape)} and {tuple(truth.shape)}"
                raise RegistryError(
                    f"a depth and its truth differ in size, {sizes}; ask for depths of the truth's size"
                )
            counts = counted(truth, *self._range)
            found, true = result.depth[counts].double(), truth[counts].double()
            self._pixels += len(true)
            self._relative += float(((found - true).abs() / true).sum())
            self._squared += float((found - true).square().sum())
            ratio = torch.maximum(found / true, true / found)
            for index in range(3):
                self._within[index] += int((ratio < _THRESHOLD ** (index + 1)).sum())

    def compute(self) -> dict[str, float]:
        """The figures by name."""
        if not self._pixels:
            low, high = self._range
            raise RegistryError(
                f"the error of no pixel; give at least one image with true depths of {low:g} to {high:g} m"
            )
        shares = {f"delta{index + 1}": within / self._pixels for index, within in enumerate(self._within)}
        return {"abs_rel": self._relative / self._pixels, "rmse": (self._squared / self._pixels) ** 0.5, **shares}
