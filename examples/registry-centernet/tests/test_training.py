"""The detector learns coloured rectangles, through the task as any training does."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

import registry

Batch = tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]


def _model() -> nn.Module:
    torch.manual_seed(0)
    small = {
        "head.image.min_size": 128,
        "head.image.max_size": 128,
        "head.neck.channels": 32,
        "head.branch_channels": 32,
        "backbone.norm": {"kind": "batch", "eps": 0.001, "momentum": 0.1},  # running statistics of few steps
    }
    return registry.build("centernet_mnv3_small", num_classes=4, overrides=small)


def _train(model: nn.Module, batch: Batch, *, steps: int) -> list[float]:
    """The summed loss of each step."""
    spec = model.spec
    task = registry.default_registry().task(spec)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    told = []
    for _ in range(steps):
        loss = torch.stack(list(task.losses(model, *batch, spec.head).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        told.append(loss.item())
    return told


def test_the_loss_halves_in_twenty_steps(rectangles: Batch) -> None:
    told = _train(_model().train(), rectangles, steps=20)
    assert told[-1] < told[0] / 2


@pytest.mark.slow
def test_every_rectangle_is_found_after_training(rectangles: Batch) -> None:
    """Each has a box of its class with a score of at least 0.3 that overlaps it by more than half."""
    model = _model().train()
    _train(model, rectangles, steps=140)
    with torch.inference_mode():
        results = model.eval()(rectangles[0])
    for found, target in zip(results, rectangles[1], strict=True):
        sure = found["scores"] >= 0.3
        overlap = box_iou(target["boxes"], found["boxes"][sure])
        same = target["labels"][:, None] == found["labels"][sure]
        assert bool(((overlap > 0.5) & same).any(1).all())
        assert int(sure.sum()) == len(target["boxes"])
