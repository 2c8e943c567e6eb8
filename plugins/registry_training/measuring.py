"""Figures of a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from registry.errors import ImageError
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.tasks import Metric, Task

#: Pictures that go through the model at once, where the task makes them of one size.
BATCH = 32


@dataclass
class Measured:
    """What was found on one picture.

    Attributes:
        index: number of the picture in its data set.
        result: as the task's `postprocess` returns it.
        target: as the data set yields it.
    """

    index: int
    result: Any
    target: Any


def measuring_task(registry: Registry, spec: ModelSpec) -> tuple[Task[Any, Any], ModelSpec]:
    """The task of a model as figures need it: every answer counts, whatever its score; and the spec that says so."""
    settings = spec.settings_for("score", 0.0)
    spec = registry.load_spec(spec, overrides=settings) if settings else spec
    return registry.task(spec), spec


def measured(
    model: nn.Module,
    task: Task[Any, Any],
    dataset: Any,
    indices: Iterable[int],
    *,
    batch: int = BATCH,
    device: torch.device | None = None,
) -> Iterator[Measured]:
    """Runs a model in eval mode over some pictures of a data set; its mode is put back afterwards.

    Raises:
        ImageError: a picture cannot be read; a figure over the others would not be the data set's.
    """
    training = model.training
    model.eval()
    try:
        waiting: list[tuple[int, torch.Tensor, tuple[int, int], Any]] = []
        for index in indices:
            try:
                image, target = dataset[index]
            except OSError as error:
                raise ImageError(f"picture {index}: {error}") from error
            made = task.preprocess(image)
            if waiting and (len(waiting) == batch or waiting[0][1].shape != made.shape):
                yield from _run(model, task, waiting, device)
                waiting = []
            waiting.append((index, made, (image.height, image.width), target))
        if waiting:
            yield from _run(model, task, waiting, device)
    finally:
        model.train(training)


def _run(
    model: nn.Module,
    task: Task[Any, Any],
    waiting: list[tuple[int, torch.Tensor, tuple[int, int], Any]],
    device: torch.device | None,
) -> Iterator[Measured]:
    with torch.inference_mode():
        inputs = task.collate([made if device is None else made.to(device) for _, made, _, _ in waiting])
        results = task.postprocess(model(inputs), [size for _, _, size, _ in waiting])
    for (index, _, _, target), result in zip(waiting, results, strict=True):
        yield Measured(index, result, target)


def figures(
    metric: Metric[Any],
    task: Task[Any, Any],
    found: Iterable[Measured],
    seen: Callable[[Measured], None] | None = None,
) -> dict[str, float]:
    """The metric's figures over everything that was found."""
    for one in found:
        metric.update([one.result], task.collate_targets([one.target]))
        if seen is not None:
            seen(one)
    return metric.compute()
