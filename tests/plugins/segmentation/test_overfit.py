"""The segmentation model learns: four real images, by mean intersection over union."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

import registry

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
STEPS, SIDE = 300, 160


def mean_iou(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Over the classes that occur in the truth; pixels of id 255 do not count."""
    counted = truth != 255
    shares = []
    for index in truth[counted].unique().tolist():
        one, other = (found == index) & counted, (truth == index) & counted
        shares.append(float((one & other).sum() / (one | other).sum()))
    return sum(shares) / len(shares)


def with_clear_objects(folder: Path) -> list[Path]:
    """Four photographs of two or more classes, each of at least 4 % of the pixels, and hardly any that do not count."""

    def fits(file: Path) -> bool:
        ids = numpy.array(Image.open(folder / "masks" / f"{file.stem}.png"))
        classes = [index for index in numpy.unique(ids) if index != 255]
        return len(classes) >= 2 and (ids == 255).mean() < 0.02 and all((ids == c).mean() > 0.04 for c in classes)

    return [file for file in sorted((folder / "images").iterdir()) if fits(file)][:4]


def test_lraspp_overfits_four_real_images(shared_data: Path) -> None:
    folder = shared_data / "coco_voc_seg"
    files = with_clear_objects(folder)
    weights = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    torch.manual_seed(0)
    model = registry.build(
        "lraspp_mnv3_small",
        backbone_weights=weights,
        overrides={"task.preprocessing.resize": None, "backbone.norm": {"kind": "frozen_batch", "eps": 0.001}},
    )
    spec: Any = model.spec
    task = registry.default_registry().task(spec)
    pictures = [Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for file in files]
    masks = [
        Image.open(folder / "masks" / f"{f.stem}.png").resize((SIDE, SIDE), Image.Resampling.NEAREST) for f in files
    ]
    inputs = task.collate([task.preprocess(picture) for picture in pictures])
    targets = torch.stack([torch.from_numpy(numpy.array(mask)).long() for mask in masks])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        losses = task.losses(model, inputs, targets, spec.head)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        found = model.eval()(inputs)["out"].argmax(1)
    assert mean_iou(found, targets) > 0.9
