"""Mixup and cutmix of whole batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision.transforms import v2

from registry.errors import RegistryError
from registry_recipes.specs import TrainingSpec

Mixing = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def batch_mixing(recipe: TrainingSpec, num_classes: int) -> Mixing | None:
    """What mixes each image with the one before it in its batch; with both alphas, one of the two is drawn for each batch.

    The function takes inputs (N, C, H, W) and labels int64 (N), and returns inputs and float labels (N, num_classes),
    whose rows sum to 1. It draws from torch's global generator. Source: torchvision.transforms.v2.MixUp and CutMix.

    Returns:
        None where the recipe mixes nothing.

    Raises:
        RegistryError: when called with anything but one label an image.
    """
    choices: list[Any] = []
    if recipe.mixup_alpha > 0:
        choices.append(v2.MixUp(alpha=recipe.mixup_alpha, num_classes=num_classes))
    if recipe.cutmix_alpha > 0:
        choices.append(v2.CutMix(alpha=recipe.cutmix_alpha, num_classes=num_classes))
    if not choices:
        return None
    transform = choices[0] if len(choices) == 1 else v2.RandomChoice(choices)

    def mix(inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        labelled = isinstance(labels, torch.Tensor) and labels.ndim == 1 and not labels.is_floating_point()
        if not isinstance(inputs, torch.Tensor) or inputs.ndim != 4 or not labelled:
            raise RegistryError("mixup and cutmix need images of one size and one label each; write 0 for both alphas")
        mixed, soft = transform(inputs, labels)
        return mixed, soft

    return mix
