"""Training pictures and their targets, changed together; all chance is torch's global generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from registry.errors import RegistryError
from registry_recipes.augment_boxes import detection_augmentation
from registry_recipes.augment_masks import fitted_with_mask, segmentation_augmentation
from registry_recipes.augmentation_specs import (
    AugMixSpec,
    AutoAugmentSpec,
    ClassificationAugmentationSpec,
    DetectionAugmentationSpec,
    PolicySpec,
    RandAugmentSpec,
)
from registry_recipes.specs import TrainingSpec

Augmentation = Callable[[Image.Image, Any], tuple[Image.Image, Any]]


def augmentation(
    recipe: TrainingSpec, task_type: str, size: int | tuple[int, int] | None, *, ignore: int = 255
) -> Augmentation:
    """What changes an RGB picture and its target.

    Without an augmentation in the recipe, pictures of classification and segmentation are fitted to `size`, and others are
    returned as they are.

    Args:
        task_type: what is trained; the recipe's augmentation must be for it.
        size: height and width of the model's images in pixels (or one number for both), for what the recipe leaves open.
        ignore: id of pixels without a class, for what is padded of a mask.

    Raises:
        RegistryError: an augmentation for another task, or no size where one is needed.
    """
    spec = recipe.augmentation
    sides = (size, size) if isinstance(size, int) else size
    if spec is None:
        return _fitted(task_type, sides, ignore)
    if spec.kind != task_type:
        raise RegistryError(
            f"the recipe augments for `{spec.kind}` and the task is `{task_type}`; choose another recipe"
        )
    if isinstance(spec, ClassificationAugmentationSpec):
        return _untouched_target(_classification(spec, sides))
    if isinstance(spec, DetectionAugmentationSpec):
        return detection_augmentation(spec)
    return segmentation_augmentation(spec, sides, ignore)


def after_input(recipe: TrainingSpec, task_type: str) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Random erasing of a normalised image (C, H, W), or None where the recipe has none. Source: v2.RandomErasing."""
    spec = recipe.augmentation
    if not isinstance(spec, ClassificationAugmentationSpec) or spec.kind != task_type or spec.erasing == 0:
        return None
    erasing: Callable[[torch.Tensor], torch.Tensor] = v2.RandomErasing(p=spec.erasing)
    return erasing


def _classification(spec: ClassificationAugmentationSpec, size: tuple[int, int] | None) -> v2.Transform:
    sides = (spec.size, spec.size) if spec.size is not None else size
    if sides is None:
        raise RegistryError("the model says no size of its images; write recipe.augmentation.size, in pixels")
    interpolation = InterpolationMode(spec.interpolation)
    steps: list[Any] = [
        v2.RandomResizedCrop(sides, scale=spec.scale, ratio=spec.ratio, interpolation=interpolation, antialias=True)
    ]
    if spec.flip:
        steps.append(v2.RandomHorizontalFlip(spec.flip))
    if spec.policy is not None:
        steps.append(_policy(spec.policy, interpolation))
    return v2.Compose(steps)


def _policy(spec: PolicySpec, interpolation: InterpolationMode) -> v2.Transform:
    if isinstance(spec, AutoAugmentSpec):
        return v2.AutoAugment(v2.AutoAugmentPolicy(spec.dataset), interpolation=interpolation)
    if isinstance(spec, RandAugmentSpec):
        return v2.RandAugment(spec.operations, spec.magnitude, interpolation=interpolation)
    if isinstance(spec, AugMixSpec):
        return v2.AugMix(severity=spec.severity, mixture_width=spec.width, interpolation=interpolation)
    return v2.TrivialAugmentWide(interpolation=interpolation)


def _untouched_target(transform: Callable[[Any], Any]) -> Augmentation:
    def change(image: Image.Image, target: Any) -> tuple[Image.Image, Any]:
        return transform(image), target

    return change


def _fitted(task_type: str, size: tuple[int, int] | None, ignore: int) -> Augmentation:
    if size is not None and task_type == "classification":
        crop = v2.Compose([v2.Resize(min(size), antialias=True), v2.CenterCrop(size)])
        return _untouched_target(crop)
    if size is not None and task_type == "segmentation":
        return fitted_with_mask(size, ignore)
    return _untouched_target(lambda image: image)
