"""A short, plain training loop: AdamW, one cycle of the learning rate, small shifts of the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from registry.tasks import Task
from registry_demo.digits import Split

BATCH = 64
PEAK_RATE = 4e-3


def inputs_of(task: Task[Any, Any], split: Split) -> torch.Tensor:
    """Every picture of a split as the task feeds it to the model, float32 (N, 1, H, W)."""
    batch: torch.Tensor = task.collate([task.preprocess(split.picture(i).convert("RGB")) for i in range(len(split))])
    return batch


def accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of inputs whose likeliest class is the label, 0 to 1."""
    model.eval()
    with torch.inference_mode():
        right = (model(inputs).argmax(1) == labels).sum().item()
    return float(right / len(labels))


def train(
    model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, *, epochs: int, generator: torch.Generator
) -> Iterator[float]:
    """Trains in place and yields the mean loss of each epoch."""
    steps = -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
            loss = F.cross_entropy(model(_shifted(inputs[chosen], generator)), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        yield total / len(labels)


def _shifted(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The batch moved by up to three pixels along each side, black coming in at the edge."""
    dy, dx = torch.randint(-3, 4, (2,), generator=generator).tolist()
    padded = F.pad(batch, [3, 3, 3, 3], value=-1.0)
    return padded[:, :, 3 + dy : 3 + dy + batch.shape[2], 3 + dx : 3 + dx + batch.shape[3]]
