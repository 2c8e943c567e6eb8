"""Accuracy of a subject on a data set, as `registry evaluate` measures it."""

from __future__ import annotations

from typing import Any

from registry.current import default_registry
from registry_benchmark.subjects import Subject


def figures(subject: Subject, data: str, settings: list[str], limit: int | None) -> dict[str, Any]:
    """Figures over the first pictures of the validation split, with the headline among them.

    Args:
        settings: of the data set, `dataset.KEY=VALUE`.

    Raises:
        RegistryError: model and data do not fit; as `registry evaluate`.
    """
    from registry_training.evaluation import Evaluation

    given: dict[str, Any] = {} if subject.kind == "artefact" else {"device": subject.device}
    overrides = [] if subject.kind == "artefact" else list(subject.overrides)
    evaluation = Evaluation.open(
        default_registry(),
        subject.reference,
        data,
        "validation",
        [*overrides, *settings],
        {"weights": subject.weights, **given},
    )
    metric = evaluation.metric()
    count = min(limit or evaluation.pictures, evaluation.pictures)
    found = evaluation.figures(list(evaluation.run(count, 32)))
    plain = {name: float(value) for name, value in found.items() if "/" not in name}
    return {"figures": plain, "headline": metric.headline, "pictures": count}
