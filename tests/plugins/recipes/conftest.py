"""Recipes that tests change one setting of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from registry_recipes.specs import TrainingSpec

PLAIN: dict[str, Any] = {
    "optimizer": {"kind": "sgd", "momentum": 0.9},
    "rate": 0.1,
    "epochs": 10,
    "batch_size": 8,
}


@pytest.fixture(scope="session")
def recipe() -> Callable[..., TrainingSpec]:
    """Makes a recipe: SGD, rate 0.1, ten epochs, eight images a step, and what is given."""

    def make(**settings: Any) -> TrainingSpec:
        return TrainingSpec.model_validate({**PLAIN, **settings})

    return make
