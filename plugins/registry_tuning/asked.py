"""What a user asked for, and what is looked through before the first trial. Imports neither torch nor optuna."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_training.plan import settled
from registry_training.prepare import Prepared, fitted, opened, prepared

from registry.diagnostics import SpecError, errors
from registry.errors import RegistryError
from registry.registry import Registry
from registry_tuning.fields import Field, setting
from registry_tuning.folds import folds_of


@dataclass(frozen=True)
class Asked:
    """What a user asked for; see `registry tune --help`."""

    model: str
    data: str
    recipe: str | None
    assignments: Sequence[str]
    weights: str | None
    backbone_weights: str | None
    fields: tuple[Field, ...]
    folds: int
    trials: int
    storage: str | None
    study: str
    pruner: str
    sampler: str
    seed: int
    folder: Path
    device: str | None
    workers: int | None

    @property
    def url(self) -> str:
        """The storage's URL: a file in the output folder unless the user says otherwise."""
        return self.storage or f"sqlite:///{self.folder.resolve() / 'study.db'}"


def checked(registry: Registry, asked: Asked) -> Prepared:
    """The training that is varied, after a look at both ends of every range.

    Raises:
        RegistryError: it cannot run, a field is unknown or refused at an end, or there are fewer pictures than folds.
    """
    fixed = {text.partition("=")[0].strip() for text in asked.assignments}
    for field in asked.fields:
        if field.path in fixed:
            raise RegistryError(f"{field.path} is both set and searched; leave out --set or --search")
    base = prepared(
        registry, asked.model, data=asked.data, recipe=asked.recipe, assignments=asked.assignments, processes=1
    )
    smallest = min(len(training) for training, _ in folds_of(base.training, asked.folds, asked.seed))
    for field in asked.fields:
        others = [other for other in asked.fields if other is not field]
        for value in field.ends():
            own = setting(field.path, value)
            rests: list[list[str]] = [[], *([setting(o.path, o.ends()[i]) for o in others] for i in (0, -1))]
            told = [refusal(registry, asked, base, [*rest, own], smallest) for rest in (rests if others else rests[:1])]
            if all(told):
                raise RegistryError(f"--search {field.path}: {json.dumps(value)} is refused: {told[0]}")
    return base


def refusal(registry: Registry, asked: Asked, base: Prepared, settings: Sequence[str], pictures: int) -> str | None:
    """Why a training under these settings would not start; None where it would.

    Args:
        base: the training without them.
        pictures: how many a fold trains on.
    """
    assignments = [*asked.assignments, *settings]
    named = [] if asked.recipe is None else [f"recipe={asked.recipe}"]
    own = [text for text in assignments if not text.startswith("dataset.")]
    try:
        spec = registry.load_spec(asked.model, overrides=[*named, *own])
        dataset = opened(registry, asked.data, spec.task.type, assignments)
        spec, _ = fitted(registry, spec, base.training, own)
        recipe: Any = spec.recipe
        settled(registry, spec, recipe, dataset, 1)
    except SpecError as error:
        wrong = errors(error.diagnostics) or error.diagnostics
        return "; ".join(f"{d.message}, {d.suggestion}" if d.suggestion else d.message for d in wrong)
    except RegistryError as error:
        return str(error)
    if recipe.batch_size > pictures and (recipe.drop_last or recipe.aspect_ratio_groups is not None):
        return f"a fold trains on {pictures} pictures, which fill no batch of {recipe.batch_size}"
    return None
