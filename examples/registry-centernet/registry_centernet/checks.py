"""What the detector is given, checked in plain words before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from registry.errors import RegistryError
from registry.modules.checked import check_dtype
from registry_centernet.settings import ImageSpec

_NO_OBJECTS = "an image without objects has boxes torch.zeros((0, 4)) and labels torch.zeros(0, dtype=torch.int64)"
#: Pixels that a box may lie outside of its image, for labels that were rounded.
_SLACK = 1.0


def check_images(images: Any, model: nn.Module, channels: int, spec: ImageSpec) -> None:
    """Images: a list, not empty, of finite float tensors (C, H, W) in about 0 to 1.

    Raises:
        RegistryError: says which image, and what to give instead.
    """
    if not isinstance(images, (list, tuple)):
        raise RegistryError(f"images must be a list of tensors (C, H, W), not a {type(images).__name__}")
    if not images:
        raise RegistryError("the batch is empty; give at least one image")
    for index, image in enumerate(images):
        _check_image(f"image {index}", image, channels)
        check_dtype(model, image, f"image {index} is", "image")
        height, width = image.shape[-2:]
        if max(height, width) > min(height, width) * spec.max_size:
            left = f"of which resizing to at most {spec.max_size} would leave nothing"
            raise RegistryError(f"image {index} has {width}x{height} pixels, {left}; crop or pad it")


def _check_image(name: str, image: Any, channels: int) -> None:
    if not isinstance(image, Tensor):
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
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RegistryError(f"{name} holds values that are not finite")
    if low < -1 or high > 2:
        raise RegistryError(f"{name} has values from {low:g} to {high:g}; give 0 to 1, the model normalises itself")


def check_targets(images: list[Tensor], targets: Any, *, last_label: int, needed: bool) -> None:
    """Targets: for each image a mapping with `boxes` (N, 4), x1, y1, x2, y2 in its pixels, and `labels`, int64 (N).

    Args:
        last_label: labels are 1 to this.
        needed: whether None is refused.

    Raises:
        RegistryError: says which target, which box, and what to give instead.
    """
    if targets is None:
        if needed:
            raise RegistryError("training needs targets; call model(images, targets), or model.eval() to predict")
        return
    if not isinstance(targets, (list, tuple)):
        raise RegistryError(f"targets must be a list with one dict for each image, not a {type(targets).__name__}")
    if len(targets) != len(images):
        counts = f"there are {len(images)} images and {len(targets)} targets"
        raise RegistryError(f"{counts}; targets is a list with one dict for each image")
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        name = f"target {index}"
        boxes, labels = _tensors(name, target)
        if len(boxes):
            _check_boxes(name, boxes, image.shape[-1], image.shape[-2])
            _check_labels(name, labels, last_label)


def _tensors(name: str, target: Any) -> tuple[Tensor, Tensor]:
    """Boxes and labels of the right shapes and types."""
    if not isinstance(target, Mapping):
        raise RegistryError(f"{name} is a {type(target).__name__}, not a dict with `boxes` and `labels`")
    for key in ("boxes", "labels"):
        if not isinstance(target.get(key), Tensor):
            raise RegistryError(f"{name} has no tensor `{key}`; give `boxes` (N, 4) and `labels` (N)")
    boxes, labels = target["boxes"], target["labels"]
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        text = f"{name}: boxes have the shape {tuple(boxes.shape)}; it must be (N, 4), x1, y1, x2, y2 in pixels"
        raise RegistryError(f"{text}; {_NO_OBJECTS}" if boxes.numel() == 0 else text)
    if boxes.dtype in (torch.bool, torch.bfloat16) or boxes.is_complex():
        raise RegistryError(f"{name}: boxes are {boxes.dtype}; give pixels as floats, such as torch.float32")
    if labels.dtype != torch.int64 or labels.dim() != 1:
        raise RegistryError(f"{name}: labels are {labels.dtype} {tuple(labels.shape)}; they must be torch.int64 (N,)")
    if len(boxes) != len(labels):
        raise RegistryError(f"{name} has {len(boxes)} boxes and {len(labels)} labels")
    return boxes, labels


def _check_boxes(name: str, boxes: Tensor, width: int, height: int) -> None:
    boxes = boxes.float()
    limit = boxes.new_tensor([width, height]) + _SLACK
    for good, text in (
        (boxes.isfinite().all(1), "is not finite"),
        ((boxes[:, 2:] > boxes[:, :2]).all(1), f"has no area; x2 and y2 must be greater than x1 and y1; {_NO_OBJECTS}"),
        (
            (boxes[:, :2] >= -_SLACK).all(1) & (boxes[:, 2:] <= limit).all(1),
            f"lies outside of its image of {width}x{height} pixels; are they x1, y1, x2, y2 in its pixels?",
        ),
    ):
        if not bool(good.all()):
            index = int((~good).nonzero()[0])
            shown = ", ".join(f"{value:g}" for value in boxes[index].tolist())
            raise RegistryError(f"{name}: box {index} ({shown}) {text}")
    if max(width, height) > 2 and float(boxes.max()) <= 1:
        text = f"every box lies within 0 to 1 of an image of {width}x{height} pixels"
        raise RegistryError(f"{name}: {text}; boxes are in pixels: multiply x by {width} and y by {height}")


def _check_labels(name: str, labels: Tensor, last: int) -> None:
    wrong = (labels < 1) | (labels > last)
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        zero = f"; 0 is the background: count your classes from 1; {_NO_OBJECTS}" if labels[index] == 0 else ""
        raise RegistryError(f"{name}: labels[{index}] is {int(labels[index])}; labels of objects are 1 to {last}{zero}")


def check_batch(images: list[Tensor], network: nn.Module, spec: ImageSpec, last_stride: int) -> None:
    """One image, whose last map is 1x1, has one value a channel, which batch normalisation cannot train on.

    Raises:
        RegistryError: says what to give instead.
    """
    if len(images) > 1 or not any(isinstance(m, nn.BatchNorm2d) and m.training for m in network.modules()):
        return
    height, width = images[0].shape[-2:]
    scale = min(spec.min_size / min(height, width), spec.max_size / max(height, width))
    height, width = (
        math.ceil(int(side * scale) / spec.size_divisible) * spec.size_divisible for side in (height, width)
    )
    if max(height, width) <= last_stride:
        raise RegistryError(
            f"a batch of one image cannot train this model: at {width}x{height} pixels its last map is 1x1, where batch "
            "normalisation has one value; give two images or more, or set head.image.min_size to more than "
            f"{last_stride} pixels"
        )
