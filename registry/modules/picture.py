"""From a picture to a tensor, as a `PictureSpec` says."""

from __future__ import annotations

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from registry.images import check_resized
from registry.specs.picture import PictureSpec


def preprocess(spec: PictureSpec, image: Image.Image, *, crop: int | None = None) -> torch.Tensor:
    """An RGB picture as float32 (C, H, W), where C is the number of `mean` values: 1 for grey, 3 for RGB.

    Bit-equal to torchvision's presets (`transforms._presets`) for RGB and antialias on.

    Args:
        crop: side of a centre crop in pixels, after resizing.

    Raises:
        ImageError: resizing a very narrow picture would fill the memory.
    """
    if len(spec.mean) == 1:
        image = image.convert("L")
    picture: Image.Image | torch.Tensor = image if spec.antialias else F.pil_to_tensor(image)
    if spec.resize is not None:
        check_resized(image, spec.resize)
        mode = InterpolationMode(spec.interpolation)
        picture = F.resize(picture, [spec.resize], interpolation=mode, antialias=spec.antialias)
    if crop is not None:
        picture = F.center_crop(picture, [crop])
    return _normalized(spec, picture if isinstance(picture, torch.Tensor) else F.pil_to_tensor(picture))


def as_input(spec: PictureSpec, image: Image.Image) -> torch.Tensor:
    """An RGB picture as `preprocess` gives it, at the size that it has."""
    return _normalized(spec, F.pil_to_tensor(image.convert("L") if len(spec.mean) == 1 else image))


def _normalized(spec: PictureSpec, tensor: torch.Tensor) -> torch.Tensor:
    scaled = F.convert_image_dtype(tensor, torch.float)
    normalized: torch.Tensor = F.normalize(scaled, mean=list(spec.mean), std=list(spec.std))
    return normalized
