"""Observing what a layer returns without the values that the activation behind it throws away."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.ao.quantization.observer import HistogramObserver

#: Values beyond which an activation changes nothing.
BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.ReLU6: (0.0, 6.0),
    nn.Hardswish: (-3.0, math.inf),
    nn.Hardsigmoid: (-3.0, 3.0),
}


class ClippedObserver(HistogramObserver):
    """torch's observer, of values between two bounds.

    Args:
        bounds: the least and the greatest value that counts.
        settings: of torch's observer.
    """

    def __init__(self, bounds: tuple[float, float], **settings: Any) -> None:
        super().__init__(**settings)
        self.bounds = bounds

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Takes them in; returns what it was given."""
        super().forward(seen.clamp(*self.bounds))
        return seen
