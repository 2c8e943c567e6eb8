"""Figures of a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass
class Group:
    """Pictures of one shape that go through a model together.

    Attributes:
        indices: their numbers in the data set.
        images: what pre-processing made of each (C, H, W).
        sizes: height and width of each as it was.
        targets: as the data set yields them.
    """

    indices: list[int] = field(default_factory=list)
    images: list[torch.Tensor] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)

    def run(self, model: nn.Module, task: Task[Any, Any], device: torch.device | None = None) -> Any:
        """The model's output for them."""
        with torch.inference_mode():
            return model(task.collate([image if device is None else image.to(device) for image in self.images]))

    def results(self, task: Task[Any, Any], output: Any) -> Iterator[Measured]:
        """What an output says of each picture."""
        with torch.inference_mode():
            results = task.postprocess(output, self.sizes)
        for index, target, result in zip(self.indices, self.targets, results, strict=True):
            yield Measured(index, result, target)


def groups(task: Task[Any, Any], dataset: Any, indices: Iterable[int], batch: int) -> Iterator[Group]:
    """Some pictures of a data set, as many at once as may be.

    Raises:
        ImageError: a picture cannot be read; a figure over the others would not be the data set's.
    """
    group = Group()
    for index in indices:
        try:
            image, target = dataset[index]
        except OSError as error:
            raise ImageError(f"picture {index}: {error}") from error
        made = task.preprocess(image)
        if group.images and (len(group.images) == batch or group.images[0].shape != made.shape):
            yield group
            group = Group()
        group.indices.append(index)
        group.images.append(made)
        group.sizes.append((image.height, image.width))
        group.targets.append(target)
    if group.images:
        yield group


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
        ImageError: as `groups`.
    """
    training = model.training
    model.eval()
    try:
        for group in groups(task, dataset, indices, batch):
            yield from group.results(task, group.run(model, task, device))
    finally:
        model.train(training)


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
