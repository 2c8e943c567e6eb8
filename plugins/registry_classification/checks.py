"""What a classifier is trained with, checked in plain words before anything is computed."""

from __future__ import annotations

import torch

from registry.errors import RegistryError


def check_labels(targets: torch.Tensor, images: int, classes: int) -> None:
    """Labels, int64 (N), 0 to `classes` - 1; or probabilities, float (N, classes), each row with the sum 1.

    Raises:
        RegistryError: anything else.
    """
    shape = tuple(targets.shape)
    if targets.is_floating_point() and shape == (images, classes):
        sums = targets.detach().float().sum(dim=1)
        if not bool(((sums - 1).abs() < 1e-2).all()) or bool((targets < 0).any()):
            raise RegistryError("probabilities of the classes must be 0 or more and have the sum 1 for each image")
        return
    if targets.dtype != torch.int64 or shape != (images,):
        raise RegistryError(f"labels must be int64 ({images},), one an image, and are {targets.dtype} {shape}")
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or high >= classes:
        raise RegistryError(f"the label {low if low < 0 else high} is none of 0 to {classes - 1}")
