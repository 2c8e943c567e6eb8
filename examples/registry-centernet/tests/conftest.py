"""Fixtures of the CenterNet tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

#: One colour for each class, from label 1 on.
_COLOURS = ((1.0, 0.2, 0.2), (0.2, 1.0, 0.2), (0.3, 0.4, 1.0))
#: x1, y1, x2, y2 in pixels and label of the rectangles of each picture.
_OBJECTS = (
    ((8, 10, 44, 60, 1), (70, 66, 120, 118, 2)),
    ((20, 64, 90, 100, 3), (84, 8, 116, 40, 1)),
    ((10, 20, 60, 52, 2), (72, 70, 108, 120, 3), (80, 12, 118, 36, 1)),
    ((40, 30, 100, 96, 3),),
)

Batch = tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small wait longer for other threads than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rectangles() -> Batch:
    """Four images (3, 128, 128) in 0 to 1 of coloured rectangles on a dark ground, and their targets."""
    images, targets = [], []
    for objects in _OBJECTS:
        image = torch.full((3, 128, 128), 0.1)
        for x1, y1, x2, y2, label in objects:
            image[:, y1:y2, x1:x2] = torch.tensor(_COLOURS[label - 1])[:, None, None]
        images.append(image)
        rows = torch.tensor(objects)
        targets.append({"boxes": rows[:, :4].float(), "labels": rows[:, 4]})
    return images, targets
