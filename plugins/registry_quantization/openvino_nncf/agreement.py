"""How far a quantized model agrees with the float one, for NNCF's accuracy control."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.int64]


class Agreement:
    """Share of answers of a model that are the float model's: classes, or classes of pixels. NNCF validates with it.

    Args:
        compiled: OpenVINO's float model; its first output is (N, classes, …).
        pictures: what it is given, one by one.

    Attributes:
        items: pictures with the float model's answers.
    """

    def __init__(self, compiled: Any, pictures: list[Any]) -> None:
        self.items = [(picture, answers(compiled, picture)) for picture in pictures]

    def __call__(self, compiled: Any, items: Iterable[Any]) -> tuple[float, list[float]]:
        """The share over all pictures, and of each."""
        found = [float((answers(compiled, picture) == wanted).mean()) for picture, wanted in items]
        return sum(found) / len(found), found


def answers(compiled: Any, picture: Any) -> Answers:
    """Index of the greatest value along the classes of the first output."""
    found: Answers = compiled(picture)[0].argmax(1)
    return found
