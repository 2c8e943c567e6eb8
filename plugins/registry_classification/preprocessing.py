"""From a picture to the model's input."""

from __future__ import annotations

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from registry.images import check_resized
from registry_classification.specs import PreprocessingSpec


def preprocess(spec: PreprocessingSpec, image: Image.Image) -> torch.Tensor:
    """An RGB picture as float32 (C, H, W), where C is the number of `mean` values: 1 for grey, 3 for RGB.

    With crop, H and W are its side. Bit-equal to torchvision's `ImageClassification` preset for RGB and antialias on.
    """
    if len(spec.mean) == 1:
        image = image.convert("L")
    picture: Image.Image | torch.Tensor = image if spec.antialias else F.pil_to_tensor(image)
    if spec.resize is not None:
        check_resized(image, spec.resize)
        mode = InterpolationMode(spec.interpolation)
        picture = F.resize(picture, [spec.resize], interpolation=mode, antialias=spec.antialias)
    if spec.crop is not None:
        picture = F.center_crop(picture, [spec.crop])
    tensor = picture if isinstance(picture, torch.Tensor) else F.pil_to_tensor(picture)
    scaled = F.convert_image_dtype(tensor, torch.float)
    normalized: torch.Tensor = F.normalize(scaled, mean=list(spec.mean), std=list(spec.std))
    return normalized
