"""From places of a data set to batches, in worker processes or in this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from registry.errors import ImageError, RegistryError
from registry.tasks import Task
from registry_training.order import Place
from registry_training.seeds import sample_seed

if TYPE_CHECKING:
    from registry_training.plan import Plan

Augment = Callable[[Any, Any], tuple[Any, Any]]


@dataclass
class Batch:
    """What a step takes.

    Attributes:
        inputs, targets: as the task collates them; None where every picture of the batch was left out.
        names: files of the pictures.
        left_out: files that could not be read, each with the reason.
    """

    inputs: Any
    targets: Any
    names: list[str]
    left_out: list[str]


@dataclass
class Samples:
    """Pictures of a data set as a training takes them: read, augmented, turned into inputs.

    Attributes:
        dataset: see `Registrar.dataset`; it may have `name_of(index)`.
        augment: changes a picture and its target together, drawing from torch's global generator.
        after: changes an input, drawing from the same.
        skip_bad: leave out pictures that cannot be read, rather than fail.
    """

    dataset: Any
    task: Task[Any, Any]
    seed: int
    augment: Augment | None = None
    after: Callable[[torch.Tensor], torch.Tensor] | None = None
    skip_bad: bool = False

    def batch(self, epoch: int, places: Sequence[Place]) -> Batch:
        """The batch of some places; depends on nothing but the seed, the epoch and the places.

        Raises:
            ImageError: a picture cannot be read, and none may be left out.
        """
        inputs, targets, names, left_out = [], [], [], []
        for index, repeat in places:
            name = self.name(index)
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(sample_seed(self.seed, epoch, index, repeat))
                    made, target = self._sample(index)
            except (ImageError, OSError) as error:
                if not self.skip_bad:
                    raise ImageError(f"{name}: {error}; mend or remove it, or set recipe.bad_images to skip") from error
                left_out.append(f"{name}: {error}")
                continue
            inputs.append(made)
            targets.append(target)
            names.append(name)
        if not inputs:
            return Batch(None, None, names, left_out)
        return Batch(self.task.collate(inputs), self.task.collate_targets(targets), names, left_out)

    def _sample(self, index: int) -> tuple[torch.Tensor, Any]:
        image, target = self.dataset[index]
        if self.augment is not None:
            image, target = self.augment(image, target)
        made = self.task.as_input(image)
        return (made if self.after is None else self.after(made)), target

    def name(self, index: int) -> str:
        """The file of a picture, or its number where the data set names none."""
        named = getattr(self.dataset, "name_of", None)
        return str(named(index)) if named is not None else f"picture {index}"


class _Steps:
    """A map from a step to its batch, which is all that torch's loader needs to know."""

    def __init__(self, samples: Samples, epoch: int, batches: Sequence[Sequence[Place]]) -> None:
        self._samples = samples
        self._epoch = epoch
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Batch:
        return self._samples.batch(self._epoch, self._batches[step])


def batches_from(
    samples: Samples, epoch: int, batches: Sequence[Sequence[Place]], first: int, workers: int
) -> Iterator[Batch]:
    """The batches of an epoch from step `first` on, in order.

    Raises:
        ImageError: a picture cannot be read, and none may be left out.
        RegistryError: a worker process died.
    """
    loader: DataLoader[Batch] = DataLoader(
        _Steps(samples, epoch, batches),  # type: ignore[arg-type]  # torch asks for no more than these two methods
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_prepared if workers else None,
        generator=torch.Generator(),  # or the loader would draw from the global one
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "worker" not in str(error).lower():
            raise
        raise RegistryError(f"a process that loads pictures died: {error}; take fewer with --workers") from error


def _prepared(worker: int) -> None:
    """One thread each; and a signal to the whole job is for the process that trains, which still needs this one's batches."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def samples_of(plan: Plan, dataset: Any, task: Task[Any, Any]) -> Samples:
    """Pictures of a data set as the plan's recipe takes them."""
    from registry_recipes.augment import after_input, augmentation

    recipe, kind = plan.recipe, plan.model.task.type
    size = plan.model.head.image_size() or plan.model.task.image_size()
    return Samples(
        dataset,
        task,
        recipe.seed,
        augmentation(recipe, kind, size),
        after_input(recipe, kind),
        skip_bad=recipe.bad_images == "skip",
    )


def usable_workers() -> int:
    """Processes that load pictures by default: one for each core beside this process's own, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores - 1, 8), 0)
