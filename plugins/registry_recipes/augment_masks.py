"""Pictures and masks of segmentation, changed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from registry.errors import RegistryError
from registry_recipes.augmentation_specs import SegmentationAugmentationSpec

MaskAugmentation = Callable[[Image.Image, Any], tuple[Image.Image, Any]]


def segmentation_augmentation(
    spec: SegmentationAugmentationSpec, size: tuple[int, int] | None, ignore: int
) -> MaskAugmentation:
    """Resize, flip, pad and crop. Pictures are padded right and below with black, masks with `ignore`.

    Raises:
        RegistryError: neither the recipe nor the model says a size to crop to.
    """
    crop = (spec.crop, spec.crop) if spec.crop is not None else size
    if crop is None:
        raise RegistryError("the model says no size of its images; write recipe.augmentation.crop, in pixels")
    steps: list[Any] = []
    if spec.resize is not None:
        low, high = spec.resize
        # RandomResize never draws its upper end
        steps.append(v2.Resize(low, antialias=True) if low == high else v2.RandomResize(low, high + 1, antialias=True))
    if spec.flip:
        steps.append(v2.RandomHorizontalFlip(spec.flip))
    before, after = v2.Compose(steps) if steps else None, v2.RandomCrop(crop)

    def change(image: Image.Image, target: Any) -> tuple[Image.Image, Any]:
        mask = _mask(target, ignore)
        if before is not None:
            image, mask = before(image, mask)
        image, mask = after(*_padded(image, mask, crop, ignore))
        return image, mask.as_subclass(torch.Tensor)

    return change


def fitted_with_mask(size: tuple[int, int], ignore: int) -> MaskAugmentation:
    """Shrinks or enlarges a picture until it fits into `size`, and pads it."""

    def change(image: Image.Image, target: Any) -> tuple[Image.Image, Any]:
        scale = min(size[0] / image.height, size[1] / image.width)
        sides = [min(size[0], max(1, round(image.height * scale))), min(size[1], max(1, round(image.width * scale)))]
        image, mask = v2.Resize(sides, antialias=True)(image, _mask(target, ignore))
        image, mask = _padded(image, mask, size, ignore)
        return image, mask.as_subclass(torch.Tensor)

    return change


def _mask(target: Any, ignore: int) -> tv_tensors.Mask:
    mask = target if isinstance(target, torch.Tensor) else torch.as_tensor(target)
    if mask.dtype == torch.uint8 and not 0 <= ignore <= 255:
        mask = mask.long()
    return tv_tensors.Mask(mask)


def _padded(
    image: Image.Image, mask: tv_tensors.Mask, size: tuple[int, int], ignore: int
) -> tuple[Image.Image, tv_tensors.Mask]:
    below, right = max(0, size[0] - image.height), max(0, size[1] - image.width)
    if not below and not right:
        return image, mask
    padding = [0, 0, right, below]
    return F.pad(image, padding, fill=0), tv_tensors.Mask(F.pad(mask, padding, fill=ignore))
