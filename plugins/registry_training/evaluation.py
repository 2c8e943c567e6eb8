"""Measuring a model: results on every picture, figures over all of them, pictures of the worst."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import is_artefact
from registry.catalog import is_checkpoint
from registry.errors import MissingExtraError, RegistryError
from registry.files import write_atomically
from registry.predictor import Predictor
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.tasks import Details, Metric, Task
from registry_training.measuring import Measured, figures, measured, measuring_task
from registry_training.prepare import opened, split

#: How many pictures are drawn.
_DRAWN = 8


@dataclass(frozen=True)
class Share:
    """One of the processes that measure together, as `torchrun` starts them."""

    rank: int = 0
    processes: int = 1

    @classmethod
    def here(cls, device: str | None) -> Share:
        """This process, connected to the others if there are any.

        Raises:
            MissingExtraError: there are several, and accelerate is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MissingExtraError("measuring with several processes", "train", "accelerate") from error
        state = PartialState(cpu=device in (None, "cpu"))
        return cls(state.process_index, state.num_processes)

    def of(self, count: int) -> range:
        """The pictures of this process: each of all is that of one process."""
        return range(self.rank, count, self.processes)

    def gathered(self, found: list[Measured]) -> list[Measured]:
        """What every process found, in the order of the pictures."""
        if self.processes == 1:
            return found
        from accelerate.utils import gather_object

        return sorted(gather_object(found), key=lambda one: one.index)

    def closed(self) -> None:
        """Takes leave of the other processes."""
        if self.processes > 1:
            torch.distributed.destroy_process_group()


@dataclass
class Evaluation:
    """A model with one split of a data set.

    Attributes:
        task, spec: as figures need them, with every answer counted.
        shown: the task as pictures are drawn with it, without the answers of low scores.
    """

    registry: Registry
    model: nn.Module
    task: Task[Any, Any]
    spec: ModelSpec
    dataset: Any
    shown: Task[Any, Any]

    @classmethod
    def open(
        cls,
        registry: Registry,
        model: str,
        data: str,
        split_name: str,
        assignments: Sequence[str],
        settings: dict[str, Any],
        score: float | None = None,
    ) -> Evaluation:
        """Builds the model, or loads an artefact, and opens the data.

        Args:
            score: least score of an answer that is drawn; None: the model's own.

        Raises:
            RegistryError: no weights are given and the model is no checkpoint; model and data do not fit; a score for answers
                that have none.
            Others as `Registry.build` and `Registry.load_artefact`.
        """
        ready = is_artefact(registry, model)
        if settings["weights"] is None and not is_checkpoint(model) and not ready:
            raise RegistryError(f"figures of random weights mean nothing; give --weights, or a checkpoint of `{model}`")
        own = [text for text in assignments if not text.startswith("dataset.")]
        loaded = Predictor.load(registry, model, overrides=own, **settings) if ready else None
        module = registry.build(model, overrides=own, **settings) if loaded is None else loaded.model
        spec: ModelSpec = loaded.spec if loaded is not None else module.spec  # type: ignore[assignment]  # built modules carry it
        dataset_spec = opened(registry, data, spec.task.type, assignments)
        dataset = split(registry, dataset_spec, split_name)
        names = getattr(dataset, "categories", None)
        if names is not None and spec.head.tells_classes and len(names) != spec.head.num_classes:
            raise RegistryError(
                f"`{spec.name}` tells {spec.head.num_classes} classes apart, and the data set has {len(names)}"
            )
        shown = registry.task(_at_least(registry, spec, score))
        task, spec = measuring_task(registry, spec)
        return cls(registry, module, task, spec, dataset, shown)

    @property
    def name(self) -> str:
        """The model's."""
        return self.spec.name

    @property
    def pictures(self) -> int:
        """Pictures of the split."""
        return len(self.dataset)

    def metric(self, backend: str | None = None) -> Metric[Any]:
        """A new metric for the model.

        Args:
            backend: the library that computes the figures, where the metric has a choice.

        Raises:
            RegistryError: the metric has no such backend, or its package is missing.
        """
        metric = self.task.metric(self.spec)
        if backend is not None:
            metric.use_backend(backend)
        return metric

    def run(self, count: int, batch: int, share: Share | None = None) -> Iterator[Measured]:
        """Results of the first `count` pictures, or of this process's share of them."""
        indices = range(count) if share is None else share.of(count)
        return measured(self.model, self.task, self.dataset, indices, batch=batch, device=self._device())

    def figures(self, found: Sequence[Measured]) -> dict[str, float]:
        """The metric's figures."""
        return figures(self.metric(), self.task, found)

    def measure(self, found: Sequence[Measured], backend: str | None = None) -> tuple[dict[str, float], Details]:
        """The metric's figures, and what it tells beside them; raises as `metric`."""
        metric = self.metric(backend)
        return figures(metric, self.task, found), metric.details(self.task.label)

    def write_results(self, path: Path, found: Sequence[Measured]) -> None:
        """Every result as JSON: in the task's first format, such as COCO's, else as the task shows it.

        Raises:
            RegistryError: the file cannot be written.
        """
        entries: list[Any] = []
        for one in found:
            number = one.target.get("image_id", one.index) if isinstance(one.target, dict) else one.index
            if self.task.formats:
                entries += self.task.as_format(self.task.formats[0], one.result, int(number))
            else:
                entries.append({"picture": self._file(one.index), **self.task.as_data(one.result)})
        try:
            write_atomically(path, json.dumps(entries).encode())
        except OSError as error:
            raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error

    def draw_worst(self, folder: Path, found: Sequence[Measured]) -> list[Path]:
        """Pictures with the lowest headline figure of their own, the worst first, with the answers that are shown.

        The figure counts every answer. Each picture goes through the model again.

        Raises:
            RegistryError: the folder cannot be written.
        """
        ranked = sorted(found, key=self._quality)[:_DRAWN]
        written = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for place, one in enumerate(self._again(ranked), start=1):
                image, _ = self.dataset[one.index]
                path = folder / f"worst-{place}-{Path(self._file(one.index)).stem}.png"
                data = io.BytesIO()
                self.shown.draw(image, one.result).save(data, format="PNG")
                write_atomically(path, data.getvalue())
                written.append(path)
        except OSError as error:
            raise RegistryError(f"{folder} cannot be written: {error.strerror or error}") from error
        return written

    def _again(self, ranked: Sequence[Measured]) -> Iterator[Measured]:
        return measured(self.model, self.shown, self.dataset, [one.index for one in ranked], device=self._device())

    def _device(self) -> torch.device:
        return next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))

    def _quality(self, one: Measured) -> float:
        metric = self.task.metric(self.spec)
        metric.update([one.result], self.task.collate_targets([one.target]))
        try:
            value = metric.compute()[metric.headline]
        except RegistryError:  # nothing that counts on this picture
            return float("inf")
        return value if metric.higher_is_better else -value

    def _file(self, index: int) -> str:
        named = getattr(self.dataset, "name_of", None)
        return str(named(index)) if named is not None else str(index)


def _at_least(registry: Registry, spec: ModelSpec, score: float | None) -> ModelSpec:
    """The spec under which the answers of that score and above are shown."""
    if score is None:
        return spec
    settings = {f"task.{key}": value for key, value in spec.task.settings_for("score", score).items()}
    if not settings:
        raise RegistryError(f"answers of the task `{spec.task.type}` have no score; leave out --score")
    return registry.load_spec(spec, overrides=settings)
