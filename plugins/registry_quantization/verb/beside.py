"""A float model and what was made of it, measured on the same pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_export.compare import Distance, distance
from registry_training.evaluation import Evaluation
from registry_training.measuring import Group, Measured, groups
from torch import nn

from registry.errors import RegistryError


@dataclass
class Side:
    """What one model came to.

    Attributes:
        figures: of the task's metric.
        far: its outputs from the float model's.
    """

    figures: dict[str, float] = field(default_factory=dict)
    far: Distance = field(default_factory=Distance)


def pictures(evaluation: Evaluation, count: int, batch: int) -> Iterable[Group]:
    """The first pictures of the split, in groups that go through a model together."""
    return groups(evaluation.task, evaluation.dataset, range(count), batch)


def side_by_side(evaluation: Evaluation, models: Mapping[str, nn.Module], found: Iterable[Group]) -> dict[str, Side]:
    """Figures of several models; each picture is read once.

    Args:
        models: the first is the float one, which the others are held against. All are in eval mode.

    Raises:
        ImageError: a picture cannot be read.
        RegistryError: a model fails on one.
    """
    results: dict[str, list[Measured]] = {name: [] for name in models}
    sides = {name: Side() for name in models}
    for group in found:
        exact: Any = None
        for name, model in models.items():
            try:
                output = group.run(model, evaluation.task)
            except RuntimeError as error:  # torch's own, such as for a size that a graph does not take
                shapes = ", ".join(sorted({str(tuple(image.shape)) for image in group.images}))
                told = str(error).partition("\n")[0]
                raise RegistryError(f"the {name} model fails on inputs of {shapes}: {told}") from error
            exact = output if exact is None else exact
            sides[name].far += distance(exact, output)
            results[name] += group.results(evaluation.task, output)
    for name, side in sides.items():
        side.figures = evaluation.figures(results[name])
    return sides
