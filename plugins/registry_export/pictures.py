"""Pictures to verify an export on: the user's, or those that come with scikit-image and scikit-learn, and made-up ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from registry.errors import RegistryError
from registry.images import read_image
from registry.specs import ModelSpec
from registry.tasks import Task

#: Side of made-up pictures of a model that takes any size, in pixels.
_SIDE = 224


def verification_inputs(
    task: Task[Any, Any], spec: ModelSpec, files: Sequence[str | os.PathLike[str]] = ()
) -> list[tuple[str, torch.Tensor]]:
    """Pre-processed images (C, H, W) by name. The first is what the model is traced with.

    Args:
        files: of the user; none: photographs of other packages, as far as these are installed, and noise.

    Raises:
        ImageError: a file is no picture.
        RegistryError: pre-processing yields another number of channels than the model takes.
    """
    found = [(Path(file).name, task.preprocess(read_image(file))) for file in files]
    if not found:
        found = [(name, task.preprocess(picture)) for name, picture in _photographs()]
        found += _made_up(task, spec)
    wanted = spec.backbone.in_channels
    fitting = [(name, tensor) for name, tensor in found if tensor.shape[0] == wanted]
    if not fitting:
        raise RegistryError(
            f"`{spec.name}` takes {wanted} input channels, and its task's pre-processing yields {found[0][1].shape[0]}; change "
            "the settings under task"
        )
    return fitting


def blank(task: Task[Any, Any], size: tuple[int, int] = (240, 320)) -> torch.Tensor:
    """A grey picture, on which there is nothing to find."""
    return task.preprocess(Image.new("RGB", (size[1], size[0]), (114, 114, 114)))


def _made_up(task: Task[Any, Any], spec: ModelSpec) -> list[tuple[str, torch.Tensor]]:
    size = spec.task.image_size() or spec.head.image_size() or (_SIDE, _SIDE)
    try:
        inputs, _ = task.example(spec, 1, size, torch.Generator().manual_seed(0))
        return [("noise", inputs[0])]
    except RegistryError:  # the task makes up no examples
        noise = torch.randint(256, (*size, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        return [("noise", task.preprocess(Image.fromarray(noise.numpy())))]


def _photographs() -> Iterator[tuple[str, Image.Image]]:
    try:
        from sklearn.datasets import load_sample_images

        loaded = load_sample_images()
        for file, pixels in zip(loaded.filenames, loaded.images, strict=True):
            yield Path(file).name, Image.fromarray(pixels)
    except Exception:  # not installed, or installed without its data
        pass
    for name in ("chelsea", "coffee"):
        try:
            from skimage import data

            yield f"{name}.png", Image.fromarray(getattr(data, name)())
        except Exception:  # likewise, or its picture would have to be fetched
            continue
