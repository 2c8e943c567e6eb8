"""What a segmentation model and its loss are given, checked in plain words."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry.modules.checked import Checked, check_dtype

#: No normalised picture reaches this; one in 0 to 255 does.
_LARGEST = 50.0


class CheckedSegmenter(Checked):
    """Checks the images of a segmentation model.

    Attributes:
        in_channels: channels that images must have.
        last_stride: input pixels per step of the backbone's last map.
        pools_to_a_point: True if the head normalises a 1x1 map over the batch, which one image cannot train.
        fitting_groups: groups that divide every channel count of the head, for the advice to use group normalisation.
    """

    in_channels = 3  # without annotations, see Checked
    last_stride = 16
    pools_to_a_point = False
    fitting_groups = 8

    def check_inputs(self, images: Any, *more: Any, **named: Any) -> None:
        """Images: a float tensor (N, C, H, W), normalised, and nothing else.

        Raises:
            RegistryError: says what is wrong and what to give instead.
        """
        if more or named:
            raise RegistryError(
                "the model takes images alone; registry.default_registry().task(model.spec).losses(model, images, masks, "
                "model.spec.head) checks the masks and counts the losses"
            )
        shape = _checked_shape(images)
        if shape[1] != self.in_channels:
            raise RegistryError(f"images have {shape[1]} channels and the model takes {self.in_channels}")
        if not images.is_floating_point():
            raise RegistryError(f"images are {images.dtype}; give floats, normalised as task.preprocessing says")
        check_dtype(self, images, "images are", "images")
        if self.training and self.pools_to_a_point and shape[0] == 1:
            raise RegistryError(
                "a batch of one image cannot train this head: it normalises the average of each image over the batch; "
                "give two images or more (drop_last=True in the loader), or set head.norm to "
                f"{{kind: group, groups: {self.fitting_groups}}}"
            )
        if self.training and shape[0] == 1 and max(shape[2:]) <= self.last_stride and self._normalises_batches():
            raise RegistryError(
                f"one image of {shape[3]}x{shape[2]} pixels leaves a last map of 1x1, which batch normalisation cannot "
                f"train on; give two images or more, or sides of more than {self.last_stride} pixels"
            )
        if not images.is_meta:
            _check_values(images)

    def _normalises_batches(self) -> bool:
        """True if statistics of the batch are taken where the last map is made or read."""
        last = list(self.get_submodule("backbone").children())[-1]
        layers = (*last.modules(), *self.get_submodule("classifier").modules())
        return any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in layers)


def _checked_shape(images: Any) -> tuple[int, ...]:
    if not isinstance(images, torch.Tensor):
        raise RegistryError(f"images must be one tensor (N, C, H, W), not a {type(images).__name__}")
    shape = tuple(images.shape)
    if images.dim() != 4 or 0 in shape:
        raise RegistryError(f"images have the shape {shape}; it must be (N, C, H, W), none of them 0")
    return shape


def _check_values(images: torch.Tensor) -> None:
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise RegistryError("images hold values that are not finite")
    if high > _LARGEST:
        raise RegistryError(f"images have values from {low:g} to {high:g}; scale them to 0..1 and normalise them")


def check_masks(masks: Any, images: Any, num_classes: int, ignore_index: int) -> None:
    """Masks: int64 (N, H, W) for images (N, C, H, W), ids 0 to `num_classes` - 1, or `ignore_index`.

    Raises:
        RegistryError: says which mask and id.
    """
    shape = _checked_shape(images)
    wanted = (shape[0], *shape[2:])
    if not isinstance(masks, torch.Tensor):
        raise RegistryError(f"masks must be one tensor (N, H, W), not a {type(masks).__name__}")
    if masks.dim() == 3 and masks.shape[0] != wanted[0]:
        raise RegistryError(f"there are {wanted[0]} images and {masks.shape[0]} masks")
    if tuple(masks.shape) != wanted:
        raise RegistryError(f"masks have the shape {tuple(masks.shape)}; images of this size need {wanted}")
    if masks.dtype != torch.int64:
        raise RegistryError(f"masks are {masks.dtype}; they must be torch.int64")
    counted = masks != ignore_index
    wrong = ((masks < 0) | (masks >= num_classes)) & counted
    if bool(wrong.any()):
        index = int(wrong.flatten(1).any(1).nonzero()[0])
        found = int(masks[index][wrong[index]][0])
        allowed = f"0 to {num_classes - 1}, or {ignore_index} for pixels that do not count"
        raise RegistryError(f"mask {index} holds the id {found}; ids are {allowed}")
    if not bool(counted.any()):
        raise RegistryError(
            f"every pixel of every mask is {ignore_index}, which does not count; there is nothing to learn"
        )
