"""What a recipe is told of the model that it is for: rule, place and whole text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from registry_recipes.specs import TrainingSpec

import registry

Make = Callable[..., TrainingSpec]
DETECTION = {"augmentation": {"kind": "detection"}}
SEGMENTATION = {"augmentation": {"kind": "segmentation"}}


def against(made: TrainingSpec, model: str, **overrides: Any) -> list[tuple[str, str, str]]:
    spec = registry.load_spec(model, overrides=overrides)
    return [(f.rule, ".".join(map(str, f.path)), f"{f.message}; {f.suggestion}") for f in made.check_model(spec)]


def test_a_recipe_for_another_task(recipe: Make) -> None:
    text = "the recipe augments for `detection`, and the model's task is `classification`; choose a recipe for `classification`"
    assert against(recipe(**DETECTION), "mobilenet_v3_small") == [("REG203", "augmentation.kind", text)]


def test_mixing_for_a_model_of_another_task(recipe: Make) -> None:
    text = "`mixup_alpha` needs one label for a whole image, and the task is `segmentation`; write 0"
    assert against(recipe(mixup_alpha=0.2), "lraspp_mnv3_small") == [("REG404", "mixup_alpha", text)]


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("resnet18", {"stochastic_depth": 0.1}, "the backbone `resnet` has no `stochastic_depth`"),
        ("lraspp_mnv3_small", {"dropout": 0.1}, "the head `lraspp` has no `dropout`"),
    ],
)
def test_settings_that_the_model_lacks(recipe: Make, model: str, settings: dict[str, float], said: str) -> None:
    (name,) = settings
    assert against(recipe(**settings), model) == [("REG201", name, f"{said}, so the recipe's has no effect; remove it")]


def test_one_image_under_a_model_that_averages_its_map(recipe: Make) -> None:
    text = (
        "each pass has one image, and `deeplabv3` takes batch statistics of a map that it averages to one value; "
        "write a batch_size of 2 or more"
    )
    made = recipe(**SEGMENTATION, batch_size=1)
    assert against(made, "deeplabv3_mnv3_large") == [("REG407", "batch_size", text)]
    assert against(made, "lraspp_mnv3_small") == []
    group = {"kind": "group", "groups": 2}
    assert against(made, "deeplabv3_mnv3_large", **{"head.norm": group, "weights": None, "default_weights": None}) == []


def test_a_recipe_that_fits(recipe: Make) -> None:
    made = recipe(dropout=0.1, stochastic_depth=0.1, trainable_stages=2, augmentation={"kind": "classification"})
    assert against(made, "mobilenet_v3_small") == []
