"""What a detector is given, checked in plain words before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torchvision import tv_tensors

from registry.errors import RegistryError
from registry.modules.checked import Checked, check_dtype

_NO_OBJECTS = "an image without objects has boxes torch.zeros((0, 4)) and labels torch.zeros(0, dtype=torch.int64)"
#: Pixels that a box may lie outside of its image, for labels that were rounded.
_SLACK = 1.0
#: Types of boxes; bfloat16 has 8 bits for a number, so that it rounds pixels above 256.
_BOX_TYPES = {torch.float16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64}
_BOX_TYPES |= {torch.uint8, torch.uint16, torch.uint32, torch.uint64}


class CheckedDetector(Checked):
    """Checks images and targets of a detector.

    Attributes:
        in_channels: channels that images must have.
        first_label, last_label: range of the labels of objects.
    """

    in_channels = 3  # without annotations, see Checked
    first_label = 1
    last_label = 1

    def check_inputs(self, images: Any, targets: Any = None) -> None:
        """Images: a list of float tensors (C, H, W) in 0 to 1. Targets: for each `boxes` (N, 4) in pixels, x1, y1, x2, y2,
        and `labels`, int64 (N).

        Raises:
            RegistryError: says which image, which box, and what to give instead.
        """
        if not isinstance(images, (list, tuple)):
            raise RegistryError(f"images must be a list of tensors (C, H, W), not a {type(images).__name__}")
        if not images:
            raise RegistryError("the batch is empty; give at least one image")
        for index, image in enumerate(images):
            _check_image(f"image {index}", image, self.in_channels)
            check_dtype(self, image, f"image {index} is", "image")
            _check_proportion(f"image {index}", image, self.transform)
        if targets is None:
            if self.training:
                raise RegistryError("training needs targets; call model(images, targets), or model.eval() to predict")
            return
        if not isinstance(targets, (list, tuple)):
            found = "an int" if type(targets) is int else f"a {type(targets).__name__}"
            raise RegistryError(f"targets must be a list with one dict for each image, not {found}")
        if len(targets) != len(images):
            counts = f"images and targets differ in number, {len(images)} and {len(targets)}"
            raise RegistryError(f"{counts}; targets is a list with one dict for each image")
        for index, (image, target) in enumerate(zip(images, targets, strict=True)):
            _check_target(f"target {index}", target, image.shape[-2:], self.first_label, self.last_label)
        if self.training and len(images) == 1:
            self._check_last_map(images[0])

    def _check_last_map(self, image: torch.Tensor) -> None:
        """One image leaves one value a channel where the last map under a pyramid is 1x1."""
        spec: Any = getattr(self, "spec", None)
        pyramid = getattr(spec.head, "pyramid", None) if spec is not None else None
        if pyramid is None:
            return
        stride, (width, height) = pyramid.maps(spec.backbone)[-1].stride, _least_size(image, self.transform)
        last = list(self.get_submodule("backbone.body").children())[-1]
        layers = (*last.modules(), *self.get_submodule("backbone.fpn").modules())
        trains = any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in layers)
        if trains and max(width, height) <= stride:
            raise RegistryError(
                f"a batch of one image cannot train this model: at {width}x{height} pixels its last map is 1x1, where "
                "batch normalisation has one value; give two images or more (drop_last=True in the loader), or set "
                f"head.image.min_size to more than {stride} pixels"
            )


def _least_size(image: torch.Tensor, transform: Any) -> tuple[int, int]:
    """Width and height of an image as training may resize and pad it, where it draws the least of several sizes."""
    height, width = image.shape[-2:]
    scale = min(min(transform.min_size) / min(height, width), transform.max_size / max(height, width))
    step = transform.size_divisible
    padded_width, padded_height = (math.ceil(int(side * scale) / step) * step for side in (width, height))
    return padded_width, padded_height


def _check_image(name: str, image: Any, channels: int) -> None:
    if not isinstance(image, torch.Tensor):
        raise RegistryError(f"{name} is a {type(image).__name__}, not a tensor (C, H, W)")
    shape = tuple(image.shape)
    if image.dim() != 3 or 0 in shape:
        raise RegistryError(f"{name} has the shape {shape}; it must be (C, H, W), none of them 0")
    if shape[0] != channels:
        raise RegistryError(f"{name} has {shape[0]} channels and the model takes {channels}")
    if not image.is_floating_point():
        raise RegistryError(f"{name} is {image.dtype}; give floats in 0 to 1, such as image.float() / 255")
    if image.is_meta:
        return
    low, high = (float(bound) for bound in image.detach().aminmax())
    if not (low >= -1 and high <= 2):
        if low != low or high != high or abs(low) == float("inf") or abs(high) == float("inf"):
            raise RegistryError(f"{name} holds values that are not finite")
        found = f"values from {low:g} to {high:g}"
        raise RegistryError(f"{name} has {found}; give 0 to 1, which the model normalises itself")


def _check_proportion(name: str, image: torch.Tensor, transform: Any) -> None:
    """The longer side is scaled down to `max_size`, and the shorter one with it, rounded down."""
    height, width = image.shape[-2:]
    if transform.fixed_size is None and max(height, width) > min(height, width) * transform.max_size:
        left = f"of which the model's resizing to at most {transform.max_size} would leave nothing"
        raise RegistryError(f"{name} has {width}x{height} pixels, {left}; crop or pad it")


def _check_target(name: str, target: Any, size: Sequence[int], first: int, last: int) -> None:
    if not isinstance(target, Mapping):
        raise RegistryError(f"{name} is a {type(target).__name__}, not a dict with `boxes` and `labels`")
    for key in ("boxes", "labels"):
        if not isinstance(target.get(key), torch.Tensor):
            found = f"has no `{key}`" if key not in target else f"has `{key}` that are no tensor"
            raise RegistryError(f"{name} {found}; give `boxes` (N, 4) and `labels` (N)")
    boxes, labels = target["boxes"], target["labels"]
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        hint = f"; {_NO_OBJECTS}" if boxes.numel() == 0 else ", x1, y1, x2, y2 in pixels"
        raise RegistryError(f"{name}: boxes have the shape {tuple(boxes.shape)}; it must be (N, 4){hint}")
    _check_kind(name, boxes, size)
    if labels.dtype != torch.int64 or labels.dim() != 1:
        raise RegistryError(f"{name}: labels are {labels.dtype} {tuple(labels.shape)}; they must be torch.int64 (N,)")
    if len(boxes) != len(labels):
        raise RegistryError(f"{name} has {len(boxes)} boxes and {len(labels)} labels")
    if len(boxes) == 0 or boxes.is_meta:
        return
    _check_boxes(name, boxes if boxes.is_floating_point() else boxes.float(), size)
    low, high = (int(bound) for bound in labels.aminmax())
    if low < first or high > last:
        wrong = low if low < first else high
        index = int((labels == wrong).nonzero()[0])
        zero = f"; 0 is the background: count your classes from 1; {_NO_OBJECTS}" if wrong == 0 else ""
        raise RegistryError(f"{name}: labels[{index}] is {wrong}; labels of objects are {first} to {last}{zero}")


def _check_kind(name: str, boxes: torch.Tensor, size: Sequence[int]) -> None:
    """The type of the numbers, and what boxes say of themselves where they are torchvision's."""
    if boxes.dtype not in _BOX_TYPES:
        raise RegistryError(f"{name}: boxes are {boxes.dtype}; give pixels as floats, such as torch.float32")
    if not isinstance(boxes, tv_tensors.BoundingBoxes):
        return
    if boxes.format != tv_tensors.BoundingBoxFormat.XYXY:
        call = 'torchvision.transforms.v2.functional.convert_bounding_box_format(boxes, new_format="XYXY")'
        raise RegistryError(f"{name}: boxes are of the format {boxes.format.name}; give {call}")
    if tuple(boxes.canvas_size) != tuple(size):
        (height, width), (own_height, own_width) = size, boxes.canvas_size
        found = f"boxes are those of an image of {own_width}x{own_height} pixels and the image has {width}x{height}"
        raise RegistryError(f"{name}: {found}; transform an image and its boxes together")


def _check_boxes(name: str, boxes: torch.Tensor, size: Sequence[int]) -> None:
    height, width = size
    finite = boxes.isfinite().all(dim=1)
    solid = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    limit = boxes.new_tensor([width, height])
    inside = (boxes[:, :2] >= -_SLACK).all(dim=1) & (boxes[:, 2:] <= limit + _SLACK).all(dim=1)
    if bool((finite & solid & inside).all()):
        _check_scale(name, boxes, width, height)
        return
    problems = (
        (finite, "is not finite", ""),
        (solid, "has no area", f"; x2 and y2 must be greater than x1 and y1; {_NO_OBJECTS}"),
        (inside, f"lies outside of its image of {width}x{height} pixels", "; are they x1, y1, x2, y2 in its pixels?"),
    )
    for good, text, hint in problems:
        if not bool(good.all()):
            index = int((~good).nonzero()[0])
            shown = ", ".join(f"{value:g}" for value in boxes[index].tolist())
            raise RegistryError(f"{name}: box {index} ({shown}) {text}{hint}")


def _check_scale(name: str, boxes: torch.Tensor, width: int, height: int) -> None:
    """Boxes that all lie in the first pixel were written as shares of the image."""
    if max(width, height) > 2 and float(boxes.max()) <= 1:
        text = f"every box lies within 0 to 1 of an image of {width}x{height} pixels"
        raise RegistryError(f"{name}: {text}; boxes are in pixels: multiply x by {width} and y by {height}")
