"""The detector as an exporter takes it: the network as a part that can be traced, and peaks that are chosen outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from registry_detection.split import DetectorSplit, Found
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from registry.modules.split import Call
from registry_centernet.decode import NAMES, decode


class Dense(nn.Module):
    """Images (1, C, H, W), resized, normalised and padded, to the maps `heatmap`, `size` and `offset`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Runs the network."""
        outputs = self.network(images)
        return tuple(outputs[name] for name in NAMES)


class CenterNetSplit(DetectorSplit):
    """Resizing as all detectors of torchvision's have it, the part `dense`, and the choice of peaks."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, Dense(model.network))

    @contextmanager
    def at_least(self, score: float) -> Iterator[None]:
        """While it lasts, the model returns detections of that score or more alone."""
        before, self.model.score_threshold = self.model.score_threshold, score
        try:
            yield
        finally:
            self.model.score_threshold = before

    def found(self, call: Call, images: ImageList) -> Found:
        """The detections of one prepared image, in its pixels."""
        maps = dict(zip(NAMES, call("dense", images.tensors), strict=True))
        return decode(
            maps,
            images.image_sizes,
            stride=self.model.stride,
            top=self.model.head_spec.detections_per_image,
            score_threshold=self.model.score_threshold,
        )[0]
