"""Models of random weights whose outputs are neither zero nor huge, so that differences show."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn

import registry


def photo(seed: int = 0, width: int = 320, height: int = 240) -> Image.Image:
    """Soft blobs of colour: low frequencies, as in photographs, and edges."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 6, 8), generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)[0]
    smooth[:, height // 4 : height // 2, width // 3 : width // 2] = torch.rand((3, 1, 1), generator=generator)
    return Image.fromarray((smooth * 255).byte().permute(1, 2, 0).numpy())


#: A detector of tens of detections, fewer than the most it may return, where ties would decide which are kept.
DETECTOR: dict[str, Any] = {"name": "fasterrcnn_mnv3_large_320_fpn", "head__box__score_threshold": 0.3}


def lively(name: str, seed: int = 0, **overrides: Any) -> Any:
    """A model whose batch normalisation has the statistics of two pictures, in eval mode.

    The last layers are scaled so that scores differ from class to class and from place to place.
    """
    torch.manual_seed(seed)
    model = registry.build(name, overrides={key.replace("__", "."): value for key, value in overrides.items()})
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # type: ignore[assignment]  # torch: a plain mean
    task = registry.default_registry().task(model.spec)  # type: ignore[arg-type]
    inputs = task.collate([task.preprocess(photo(seed)), task.preprocess(photo(seed + 1))])
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    with torch.no_grad():
        model(inputs)
    model.eval()
    last = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))][-1]
    with torch.no_grad():
        if hasattr(model, "roi_heads"):
            model.roi_heads.box_predictor.cls_score.weight.mul_(15)  # type: ignore[union-attr,operator]
            model.roi_heads.box_predictor.bbox_pred.weight.mul_(0.3)  # type: ignore[union-attr,operator]
            model.rpn.head.cls_logits.weight.mul_(0.3)  # type: ignore[union-attr,operator]
            model.rpn.head.bbox_pred.weight.mul_(0.003)  # type: ignore[union-attr,operator]
        elif not hasattr(model, "transform"):
            last.weight.mul_(10)
    return model
