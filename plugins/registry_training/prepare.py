"""From what a user names to a plan and its data: models, recipes, data sets, settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry_data.open import dataset_spec

from registry.catalog import Reference
from registry.errors import RegistryError
from registry.registry import Registry
from registry.specs import DatasetSpec, ModelSpec
from registry_training.plan import Plan, settled

_DATASET = "dataset."


@dataclass(frozen=True)
class Prepared:
    """A plan and both splits of its data set.

    Attributes:
        notes: what was settled without being asked for, a sentence each.
        held_out: pictures for a check after the training, where they were asked for.
    """

    plan: Plan
    training: Any
    validation: Any
    notes: tuple[str, ...]
    held_out: Any | None = None


def prepared(
    registry: Registry,
    model: Reference,
    *,
    data: str,
    recipe: str | None,
    assignments: Sequence[str],
    processes: int = 1,
    simulated: bool = False,
) -> Prepared:
    """The plan of a training.

    Args:
        model, recipe: names or paths; without a recipe, the one that the model's document names.
        data: a data set's document, or a folder whose layout is known.
        simulated: whether the training simulates the rounding of a quantized model.
        assignments: `KEY=VALUE`, of the model; `recipe.KEY` and `dataset.KEY` of these.

    Raises:
        RegistryError: something is not there or does not fit, with what to do.
    """
    own = [text for text in assignments if not text.startswith(_DATASET)]
    named = [] if recipe is None else [f"recipe={recipe}"]
    spec = registry.load_spec(model, overrides=[*named, *own])
    if spec.recipe is None:
        raise RegistryError(f"`{spec.name}` names no recipe; choose one with --recipe: {_recipes(registry, spec)}")
    dataset = opened(registry, data, spec.task.type, assignments)
    training, validation = (split(registry, dataset, name) for name in ("train", "validation"))
    spec, notes = fitted(registry, spec, training, own)
    assert spec.recipe is not None  # the model keeps the recipe that it was given
    plan = settled(registry, spec, spec.recipe, dataset, processes, simulated=simulated)  # type: ignore[arg-type]  # checked there
    return Prepared(plan, training, validation, notes)


def opened(registry: Registry, data: str, task: str, assignments: Sequence[str]) -> DatasetSpec:
    """The spec of a data set under the assignments to `dataset.KEY`."""
    settings = [text.removeprefix(_DATASET) for text in assignments if text.startswith(_DATASET)]
    return dataset_spec(registry, data, task=task, overrides=settings)


def split(registry: Registry, dataset: DatasetSpec, name: str) -> Any:
    """One split of a data set.

    Raises:
        RegistryError: it cannot be read, or is empty.
    """
    found = registry.host.target(dataset)(dataset, name)
    if len(found) == 0:
        raise RegistryError(f"the split `{name}` of the data set `{dataset.type}` is empty")
    return found


def fitted(
    registry: Registry, spec: ModelSpec, data: Any, given: Sequence[str] = ()
) -> tuple[ModelSpec, tuple[str, ...]]:
    """The model with as many classes as the data has, and their names, unless the user chose a number.

    Raises:
        RegistryError: the user's number is not the data's.
    """
    names = getattr(data, "categories", None)
    if names is None or not spec.head.tells_classes:
        return spec, ()
    chosen = any(text.partition("=")[0] == "head.num_classes" for text in given)
    if spec.head.num_classes != len(names):
        if chosen:
            raise RegistryError(
                f"the head tells {spec.head.num_classes} classes apart, and the data set has {len(names)}: "
                f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}; leave out head.num_classes"
            )
        overrides = {"head.num_classes": len(names), "task.categories": list(names)}
        changed = registry.load_spec(spec, overrides=overrides)
        return changed, (f"the head tells the data set's {len(names)} classes apart",)
    if spec.task.categories is None:
        return registry.load_spec(spec, overrides={"task.categories": list(names)}), ()
    return spec, ()


def _recipes(registry: Registry, spec: ModelSpec) -> str:
    names = [listed.name for listed in registry.library.catalog.listed if listed.kind == "recipe"]
    return ", ".join(sorted(names)) or "no plugin brings one"
