"""A short, plain training loop of a detector, and what it then finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from registry.predictor import Predictor
from registry.specs import HeadSpec, ModelSpec
from registry.tasks import Task
from registry_demo.scenes import Scene

BATCH = 8
PEAK_RATE = 3e-3
_LONGEST_GRADIENT = 5.0
#: Least score of what counts for average precision, which weighs all answers by their scores.
_LEAST = 0.05


def train_detector(
    model: nn.Module, task: Task[Any, Any], head: HeadSpec, scenes: Sequence[Scene], *, epochs: int, seed: int
) -> Iterator[float]:
    """Trains in place and yields the mean loss of each epoch."""
    inputs = [task.preprocess(scene.picture) for scene in scenes]
    targets = [scene.target() for scene in scenes]
    generator = torch.Generator().manual_seed(seed)
    steps = len(scenes) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        model.train()
        total = 0.0
        order = torch.randperm(len(scenes), generator=generator)[: steps * BATCH].tolist()
        for start in range(0, len(order), BATCH):
            indices = order[start : start + BATCH]
            batch = task.collate([inputs[i] for i in indices])
            losses = task.losses(model, batch, [targets[i] for i in indices], head)
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
            nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            total += loss.item()
        yield total / steps


def ap50(predictor: Predictor, spec: ModelSpec, scenes: Sequence[Scene]) -> float:
    """COCO's average precision at an overlap (IoU) of 0.5 over every box of at least a score of 0.05, 0 to 1.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    task = predictor.task
    sure = type(task)(task.spec.model_copy(update={"score_threshold": _LEAST}), task.categories)
    metric = sure.metric(spec)
    with torch.inference_mode():
        for scene in scenes:
            size = (scene.picture.height, scene.picture.width)
            output = predictor.model(task.collate([task.preprocess(scene.picture)]))
            metric.update(sure.postprocess(output, [size]), [scene.target()])
    return metric.compute()["ap50"]
