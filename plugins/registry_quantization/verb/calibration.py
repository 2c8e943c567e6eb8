"""Pictures of a data set as batches to calibrate with."""

from __future__ import annotations

from typing import Any

import torch
from registry_training.measuring import groups

from registry.tasks import Task

#: Pictures of a batch; models that take a list of images get one at a time, as theirs are large.
_PICTURES = 8


def calibration_batches(task: Task[Any, Any], dataset: Any, count: int, *, lists: bool) -> list[Any]:
    """Inputs of a model, from pictures spread evenly over a data set, as testing prepares them.

    Args:
        count: most batches.
        lists: whether the model takes a list of images.

    Returns:
        tensors (N, C, H, W), or lists of one image (C, H, W).

    Raises:
        ImageError: a picture cannot be read.
    """
    size = 1 if lists else _PICTURES
    wanted = min(len(dataset), count * size)
    indices = [place * len(dataset) // wanted for place in range(wanted)]
    found: list[Any] = []
    with torch.inference_mode(False):
        for group in groups(task, dataset, indices, size):
            found.append(task.collate(group.images))
            if len(found) == count:
                break
    return found
