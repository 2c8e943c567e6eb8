"""Models of torchvision itself, as what others are measured against. They have random weights."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torchvision import models

from registry.errors import RegistryError
from registry.suggest import did_you_mean
from registry_benchmark.subjects import TORCHVISION, Subject

#: Side of images, in pixels, by the module that builds the model.
_SIDES = {"detection": 800, "segmentation": 520}
_SIDE = 224


def built(subject: Subject) -> tuple[nn.Module, str, Any]:
    """The module, the name of its task, and noise as it takes it: in 0 to 1 for detectors.

    Quantized models are converted without having seen data: their answers mean nothing, their speed does.

    Raises:
        RegistryError: torchvision has no such model, or it cannot be built.
    """
    name = subject.reference.removeprefix(TORCHVISION)
    if name not in models.list_models():
        hint = did_you_mean(name, models.list_models())
        raise RegistryError(f"torchvision has no model `{name}`" + (f"; {hint}" if hint else ""))
    kinds = models.get_model_builder(name).__module__.split(".")
    task = next((kind for kind in _SIDES if kind in kinds), "classification")
    own = _SIDES.get(task, _SIDE)
    settings: dict[str, Any] = {"weights": None}
    if task != "classification":
        settings["weights_backbone"] = None
    if "quantization" in kinds:
        settings["quantize"] = True
    if task == "detection" and subject.side is not None:
        settings["min_size"] = subject.side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantization of torch is on its way out
        try:
            module: nn.Module = models.get_model(name, **settings)
        except Exception as error:  # of builders, which raise what they like
            raise RegistryError(f"torchvision cannot build `{name}`: {type(error).__name__}: {error}") from error
    generator = torch.Generator().manual_seed(0)
    size = subject.size or (own, own)
    if task == "detection":
        if size == (own, own) and "320" in name:
            size = (320, 320)
        return module, task, list(torch.rand((subject.batch, 3, *size), generator=generator))
    return module, task, torch.randn((subject.batch, 3, *size), generator=generator)
