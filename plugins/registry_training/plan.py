"""What a run will do, settled and looked through before its first step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_data.against import check_against

from registry.errors import RegistryError
from registry.registry import Registry
from registry.specs import DatasetSpec, ModelSpec
from registry_training.order import Order, aspect_group

if TYPE_CHECKING:
    from registry_recipes.specs import TrainingSpec


@dataclass(frozen=True)
class Plan:
    """A run, as far as specs decide it.

    Attributes:
        model: with the recipe's settings for it laid over it.
        processes: how many share each batch.
        held_out: what was asked to be held out, which may take pictures from those that are trained on.
    """

    model: ModelSpec
    recipe: TrainingSpec
    dataset: DatasetSpec
    processes: int = 1
    held_out: str | None = None

    @property
    def seed(self) -> int:
        """The seed of everything that is drawn."""
        return self.recipe.seed

    @property
    def share(self) -> int:
        """Pictures of a full batch that one process takes."""
        return self.recipe.batch_size // self.processes

    def digest(self) -> str:
        """SHA-256 of all that a run must keep to go on as if it had not stopped."""
        told: list[Any] = [
            self.model.digest(),
            self.recipe.model_dump(mode="json"),
            self.dataset.model_dump(mode="json"),
            self.held_out,
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def order(self, dataset: Any) -> Order:
        """The order of the training split.

        Raises:
            RegistryError: sizes are needed and not told, or there are too few pictures for one batch.
        """
        recipe = self.recipe
        groups = None
        if recipe.aspect_ratio_groups is not None:
            size_of = getattr(dataset, "size_of", None)
            if size_of is None:
                raise RegistryError(
                    f"the data set `{self.dataset.type}` does not tell the sizes of its pictures; set "
                    "recipe.aspect_ratio_groups to null"
                )
            sizes = (size_of(index) for index in range(len(dataset)))
            groups = [aspect_group(height, width, recipe.aspect_ratio_groups) for height, width in sizes]
        order = Order(
            len(dataset), recipe.batch_size, recipe.seed, recipe.repeats, drop_last=recipe.drop_last, groups=groups
        )
        if order.steps() == 0:
            raise RegistryError(
                f"the {len(dataset)} pictures to train on make no full batch of {recipe.batch_size}; set recipe.batch_size to "
                f"{len(dataset)} or less"
            )
        return order


def settled(
    registry: Registry,
    model: ModelSpec,
    recipe: TrainingSpec,
    dataset: DatasetSpec,
    processes: int,
    *,
    simulated: bool = False,
) -> Plan:
    """The plan of a run.

    Args:
        simulated: whether the model is trained with simulated rounding, as `quantization_aware` says.

    Raises:
        RegistryError: the parts do not fit each other, with what to change.
    """
    wrong = [finding for finding in check_against(model, dataset) if finding.severity == "error"]
    if wrong:
        raise RegistryError("; ".join(f"{f.message}: {f.suggestion}" if f.suggestion else f.message for f in wrong))
    parts = processes * recipe.accumulation
    if recipe.batch_size % parts:
        raise RegistryError(
            f"batches of {recipe.batch_size} pictures do not divide among {processes} processes and "
            f"{recipe.accumulation} parts each; set recipe.batch_size to a multiple of {parts}"
        )
    if recipe.bad_images == "skip" and processes > 1:
        raise RegistryError(
            "several processes cannot leave pictures out, since each would wait for the other; set recipe.bad_images to "
            "fail, and find the broken ones with `registry data check`"
        )
    if recipe.quantization_aware is not None and not simulated:
        raise RegistryError(
            "the recipe trains with simulated quantization, which training alone does not do; use `registry quantize --qat`, "
            "or set recipe.quantization_aware to null"
        )
    return Plan(_overridden(registry, model, recipe), recipe, dataset, processes)


def _overridden(registry: Registry, model: ModelSpec, recipe: TrainingSpec) -> ModelSpec:
    """The model under the settings that the recipe has for it."""
    settings = recipe.model_overrides(model)
    return registry.load_spec(model, overrides=settings) if settings else model
