"""A check after training on pictures that neither training nor the choice of the best model saw."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry.registry import Registry
from registry.specs import ModelSpec
from registry_training.measuring import figures, measured, measuring_task
from registry_training.part import Part
from registry_training.prepare import opened, split


@dataclass(frozen=True)
class HeldOut:
    """Figures on pictures that were held out, beside those of validation.

    Attributes:
        figures, validation: of the same model.
        gap: validation less held out, for the figures that both have and that could be measured; where higher is better, a
            gap above 0 says that validation is too hopeful.
    """

    pictures: int
    headline: str
    figures: dict[str, float]
    validation: dict[str, float]
    gap: dict[str, float]

    def as_text(self) -> str:
        """One line on the headline figure."""
        text = f"held out: {self.headline} {self.figures[self.headline]:.4g} on {self.pictures} pictures"
        if self.headline not in self.gap:
            return text
        return f"{text}; validation {self.validation[self.headline]:.4g}, a gap of {self.gap[self.headline]:+.4g}"


def held_out_data(registry: Registry, wanted: str, training: Any, task: str, seed: int = 0) -> tuple[Any, Any]:
    """What is left to train on, and what is held out.

    Args:
        wanted: a fraction of the training pictures such as `0.1`, drawn from the seed alone; or a data set (a document's
            name or file, or a folder), whose validation split is taken.
        training: the training split; only a fraction takes pictures away from it.
        task: the task's type.

    Raises:
        RegistryError: a fraction that is not between 0 and 1, or that leaves one side without a picture; a data set that cannot
            be opened or has other classes.
    """
    try:
        fraction = float(wanted)
    except ValueError:
        held = split(registry, opened(registry, wanted, task, ()), "validation")
        ours, theirs = (getattr(one, "categories", None) for one in (training, held))
        if ours is not None and theirs is not None and tuple(ours) != tuple(theirs):
            raise RegistryError(
                f"the held-out data `{wanted}` has other classes than the training data: "
                f"{_first(theirs)} against {_first(ours)}"
            ) from None
        return training, held
    if not 0 < fraction < 1:
        raise RegistryError(f"--held-out {wanted}: a fraction lies between 0 and 1, such as 0.1; or name a data set")
    count = round(fraction * len(training))
    if not 0 < count < len(training):
        raise RegistryError(f"--held-out {wanted} of {len(training)} pictures leaves one side without a picture")
    order = list(range(len(training)))
    Random(f"held out {seed}").shuffle(order)
    return Part(training, sorted(order[count:])), Part(training, sorted(order[:count]))


def check_held_out(
    registry: Registry,
    spec: ModelSpec,
    model: nn.Module,
    held: Any,
    validation: dict[str, float],
    device: torch.device | None = None,
) -> HeldOut:
    """Measures a trained model on what was held out, as validation measures it.

    Args:
        spec: the model's.
        validation: figures of the same model on the validation split.

    Raises:
        ImageError: a picture cannot be read.
    """
    task, spec = measuring_task(registry, spec)
    metric = task.metric(spec)
    found = figures(metric, task, measured(model, task, held, range(len(held)), device=device))
    both = [name for name in found if name in validation and -1 not in (found[name], validation[name])]
    gap = {name: validation[name] - found[name] for name in both}
    return HeldOut(len(held), metric.headline, found, validation, gap)


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
