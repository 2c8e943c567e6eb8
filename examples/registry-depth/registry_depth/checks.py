"""What a depth model and its loss are given, checked in plain words."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry.modules.checked import Checked, check_dtype

#: No normalised picture reaches this; one in 0 to 255 does.
_LARGEST = 50.0


class CheckedDepthModel(Checked):
    """Checks the images of a depth model.

    Attributes:
        in_channels: channels that images must have.
        last_stride: input pixels per step of the coarsest map.
    """

    in_channels = 3  # without annotations, see Checked
    last_stride = 32

    def check_inputs(self, images: Any, *more: Any, **named: Any) -> None:
        """Images: a float tensor (N, C, H, W), normalised, and nothing else.

        Raises:
            RegistryError: says what is wrong and what to give instead.
        """
        if more or named:
            raise RegistryError(
                "the model takes images alone; registry.default_registry().task(model.spec).losses(model, images, depths, "
                "model.spec.head) counts the losses"
            )
        shape = _image_shape(images)
        if shape[1] != self.in_channels:
            raise RegistryError(f"images have {shape[1]} channels and the model takes {self.in_channels}")
        if not images.is_floating_point():
            raise RegistryError(f"images are {images.dtype}; give floats, normalised as task.preprocessing says")
        check_dtype(self, images, "images are", "images")
        if self.training and shape[0] == 1 and max(shape[2:]) <= self.last_stride and self._normalises_batches():
            raise RegistryError(
                f"one image of {shape[3]}x{shape[2]} pixels leaves a last map of 1x1, which batch normalisation cannot "
                f"train on; give two images or more, or sides of more than {self.last_stride} pixels"
            )
        if not images.is_meta:
            _check_values(images)

    def _normalises_batches(self) -> bool:
        return any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in self.modules())


def _image_shape(images: Any) -> tuple[int, ...]:
    if not isinstance(images, torch.Tensor):
        raise RegistryError(f"images must be one tensor (N, C, H, W), not a {type(images).__name__}")
    shape = tuple(images.shape)
    if images.dim() != 4 or 0 in shape:
        raise RegistryError(f"images have the shape {shape}; it must be (N, C, H, W), none of them 0")
    return shape


def _check_values(images: torch.Tensor) -> None:
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RegistryError("images hold values that are not finite")
    if high > _LARGEST:
        raise RegistryError(f"images have values from {low:g} to {high:g}; scale them to 0..1 and normalise them")


def check_depths(depths: Any, images: Any, min_depth: float, max_depth: float) -> None:
    """True depths: float (N, h, w) in metres, 0 or NaN where none is known, in the proportions of images (N, C, H, W).

    Depths outside of the range do not count; where not one lies inside and some are known, the unit is wrong.

    Args:
        min_depth, max_depth: the range that counts, in metres.

    Raises:
        RegistryError: says which map, value or size, and what to give instead.
    """
    count, _, height, width = _image_shape(images)
    if not isinstance(depths, torch.Tensor):
        raise RegistryError(f"depths must be one tensor (N, H, W), not a {type(depths).__name__}")
    shape = tuple(depths.shape)
    if depths.dim() != 3 or 0 in shape:
        raise RegistryError(f"depths have the shape {shape}; images of this size need {(count, height, width)}")
    if shape[0] != count:
        raise RegistryError(f"there are {count} images and {shape[0]} maps of depths")
    if not _same_proportions(shape[1:], (height, width)):
        raise RegistryError(
            f"depths of {shape[2]}x{shape[1]} pixels are of other proportions than images of {width}x{height}; crop or "
            "pad them alike"
        )
    if not depths.is_floating_point():
        raise RegistryError(f"depths are {depths.dtype}; give floats in metres")
    wrong = (depths < 0) | depths.isinf()
    if bool(wrong.any()):
        index = int(wrong.flatten(1).any(1).nonzero()[0])
        value = float(depths[index][wrong[index]][0])
        raise RegistryError(f"map {index} holds the depth {value:g}; write 0 where no depth is known")
    known = depths > 0
    if bool(known.any()) and not bool(counted(depths, min_depth, max_depth).any()):
        low, high = (float(bound) for bound in depths[known].aminmax())
        raise RegistryError(
            f"depths are from {low:g} to {high:g} and those of {min_depth:g} to {max_depth:g} m count; give metres, or "
            "set task.min_depth and task.max_depth"
        )


def counted(depths: torch.Tensor, min_depth: float, max_depth: float) -> torch.Tensor:
    """Which true depths count, as a mask of the same shape: those inside the range, so neither 0 nor NaN."""
    return (depths >= min_depth) & (depths <= max_depth)


def _same_proportions(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """True if a picture of one size can be resized to the other, each side rounded to a whole pixel."""
    (height, width), (other_height, other_width) = one, other
    return abs(height * other_width - width * other_height) < max(height, width, other_height, other_width)
