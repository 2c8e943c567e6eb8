"""Pictures and boxes of detection, changed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from registry_recipes.augmentation_specs import DetectionAugmentationSpec, ScaleJitterSpec

BoxAugmentation = Callable[[Image.Image, dict[str, Any]], tuple[Image.Image, dict[str, Any]]]
#: Sides in pixels below which three tenths of one, the least crop, may be none.
_LEAST_CROPPED = 4


class _SquareCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """A crop of at most a square at a random place, padded right and below. Source: torchvision's `FixedSizeCrop`."""

    def __init__(self, spec: ScaleJitterSpec) -> None:
        super().__init__()
        self._side, self._fill = spec.size, list(spec.fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = F.get_size(flat_inputs[0])
        share = float(torch.rand(1))
        top, left = int(max(height - self._side, 0) * share), int(max(width - self._side, 0) * share)
        return {"top": top, "left": left, "height": min(height, self._side), "width": min(width, self._side)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        output = self._call_kernel(F.crop, inpt, **params)
        padding = [0, 0, self._side - params["width"], self._side - params["height"]]
        fill: Any = self._fill if isinstance(inpt, Image.Image) else 0
        return self._call_kernel(F.pad, output, padding=padding, fill=fill)


class _GuardedIoUCrop(v2.RandomIoUCrop):  # type: ignore[misc]  # torchvision has no types
    """An IoU crop that leaves pictures alone that have no box to cover, or that are too small to crop."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        boxes = next(value for value in flat_inputs if isinstance(value, tv_tensors.BoundingBoxes))
        if not len(boxes) or min(boxes.canvas_size) < _LEAST_CROPPED:
            return {}
        found: dict[str, Any] = super().make_params(flat_inputs)
        return found


def detection_augmentation(spec: DetectionAugmentationSpec) -> BoxAugmentation:
    """What changes a picture and its target, a dict with `boxes`, float (N, 4) x1, y1, x2, y2 in pixels.

    Boxes stay inside the picture; those whose shorter side falls below `min_side` are dropped from every entry with N rows.
    `masks` (N, H, W) follow where they are there, and `area` shrinks as its box does. The given target is left as it is.
    """
    steps: list[Any] = []
    if spec.photometric:
        steps.append(v2.RandomPhotometricDistort(p=spec.photometric))
    if spec.scale_jitter is not None:
        side = spec.scale_jitter.size
        steps += [v2.ScaleJitter((side, side), spec.scale_jitter.scale, antialias=True), _SquareCrop(spec.scale_jitter)]
    if spec.zoom_out is not None:
        fill: dict[Any, Any] = {Image.Image: list(spec.zoom_out.fill), "others": 0}
        steps.append(v2.RandomZoomOut(fill=fill, side_range=spec.zoom_out.scale, p=spec.zoom_out.probability))
    if spec.iou_crop:
        steps.append(_GuardedIoUCrop())
    if spec.flip:
        steps.append(v2.RandomHorizontalFlip(spec.flip))
    transform = v2.Compose(steps) if steps else None

    def change(image: Image.Image, target: dict[str, Any]) -> tuple[Image.Image, dict[str, Any]]:
        if transform is None:
            return image, target
        canvas = (image.height, image.width)
        boxes = tv_tensors.BoundingBoxes(target["boxes"].clone(), format="XYXY", canvas_size=canvas)
        sample: dict[str, Any] = {"image": image, "boxes": boxes}
        if "masks" in target:
            sample["masks"] = tv_tensors.Mask(target["masks"])
        done = transform(sample)
        return done["image"], _kept(target, done, spec.min_side)

    return change


def _kept(target: dict[str, Any], done: dict[str, Any], least: float) -> dict[str, Any]:
    """The target with its new boxes, less those that are too small to be seen."""
    before, image = target["boxes"], done["image"]
    boxes = done["boxes"].as_subclass(torch.Tensor)
    limits = boxes.new_tensor([image.width, image.height, image.width, image.height])
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    sides = boxes[:, 2:] - boxes[:, :2]
    keep = (sides.min(dim=1).values >= least) & (sides > 0).all(dim=1)
    changed = {**target, "boxes": boxes}
    if "masks" in done:
        changed["masks"] = done["masks"].as_subclass(torch.Tensor)
    if "area" in target:
        old = (before[:, 2:] - before[:, :2]).prod(dim=1).clamp(min=torch.finfo(before.dtype).tiny)
        changed["area"] = target["area"] * (sides.prod(dim=1) / old)
    rows = [key for key, value in target.items() if _has_rows(value, len(before))]
    return {key: value[keep] if key in rows else value for key, value in changed.items()}


def _has_rows(value: Any, count: int) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == count
