"""What a recipe is told of itself: rule, place and whole text; nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from registry_recipes.specs import TrainingSpec

Make = Callable[..., TrainingSpec]
DETECTION = {"augmentation": {"kind": "detection"}}
SEGMENTATION = {"augmentation": {"kind": "segmentation"}}
STILL = {"decay": 0.5, "every": 1, "adjust": False}

CASES: dict[str, tuple[dict[str, Any], str, str, str, str]] = {
    "step": (
        {"schedule": {"kind": "step", "every": 10}},
        "REG401",
        "schedule.every",
        "warning",
        "the rate falls every 10 epochs and the training has 10 epochs, so it never falls; write at most 9",
    ),
    "step after a warm-up": (
        {"schedule": {"kind": "step", "every": 8}, "warmup": {"epochs": 2}},
        "REG401",
        "schedule.every",
        "warning",
        "the rate falls every 8 epochs and the training has 10 epochs after a warm-up of 2, so it never falls; "
        "write at most 7",
    ),
    "milestone": (
        {"schedule": {"kind": "multi_step", "epochs": [4, 10]}},
        "REG401",
        "schedule.epochs.1",
        "warning",
        "the rate falls at epoch 10 and the training has 10 epochs, counted from 0, so it does not; "
        "train longer, or let it fall earlier",
    ),
    "milestones that fall": (
        {"schedule": {"kind": "multi_step", "epochs": [4, 4]}},
        "REG201",
        "schedule.epochs.1",
        "error",
        "epoch 4 comes after 4; write each epoch once, in rising order",
    ),
    "observers": (
        {"quantization_aware": {"observer_epochs": 10}},
        "REG401",
        "quantization_aware.observer_epochs",
        "warning",
        "`observer_epochs` 10 is not before the end of 10 epochs, so nothing ever stops; train longer, or stop earlier",
    ),
    "long warm-up": (
        {"warmup": {"epochs": 10}},
        "REG402",
        "warmup.epochs",
        "error",
        "the warm-up lasts 10 epochs and the training 10, so the full rate is never used; write at most 9, or `steps`",
    ),
    "warm-up without length": (
        {"warmup": {}},
        "REG201",
        "warmup",
        "error",
        "a warm-up needs `epochs` or `steps`, and has neither; keep one of them",
    ),
    "warm-up with two lengths": (
        {"warmup": {"epochs": 1, "steps": 5}},
        "REG201",
        "warmup",
        "error",
        "a warm-up needs `epochs` or `steps`, and has both; keep one of them",
    ),
    "warm-up of steps by epoch": (
        {"warmup": {"steps": 5, "per": "epoch"}},
        "REG201",
        "warmup.per",
        "error",
        "a warm-up of some steps cannot change by epoch; write per: step, or its length in `epochs`",
    ),
    "two epsilons": (
        {"optimizer": {"kind": "rmsprop", "eps": 0.0316, "tf_eps": 0.001}},
        "REG403",
        "optimizer.tf_eps",
        "error",
        "`eps` 0.0316 and `tf_eps` 0.001 both set the epsilon; "
        "keep one: `eps` is added outside the root, `tf_eps` inside, and becomes its square root",
    ),
    "no epsilon": (
        {"optimizer": {"kind": "rmsprop"}},
        "REG403",
        "optimizer",
        "error",
        "RMSprop has no epsilon, on which its training depends; "
        "write eps: 0.0316 as PyTorch means it, or tf_eps: 0.001 as TensorFlow does: they are the same",
    ),
    "nesterov": (
        {"optimizer": {"kind": "sgd", "momentum": 0.0, "nesterov": True}},
        "REG201",
        "optimizer.nesterov",
        "error",
        "`nesterov` looks ahead by the momentum, which is 0; write a momentum such as 0.9, or remove `nesterov`",
    ),
    **{
        name: (
            {**DETECTION, name: 0.1},
            "REG404",
            name,
            "error",
            f"`{name}` needs one label for a whole image, and the task is `detection`; write 0",
        )
        for name in ("mixup_alpha", "cutmix_alpha", "label_smoothing")
    },
    "ema that stands": (
        {"ema": {**STILL, "decay": 1.0}},
        "REG405",
        "ema.decay",
        "error",
        "the average takes 0 of the model at each update, which rounding loses: it never moves; "
        "write a smaller decay, such as 0.9999",
    ),
    "ema that copies": (
        {"ema": {"decay": 0.9, "every": 100}},
        "REG405",
        "ema.decay",
        "warning",
        "the average takes all of the model at each update after adjusting, so it averages nothing; "
        "write a larger decay, a smaller `every`, or adjust: false",
    ),
    "far below": (
        {"reference_batch": 512},
        "REG406",
        "reference_batch",
        "warning",
        "`rate` 0.1 is for 512 images a step and becomes 0.0015625 for 8; "
        "write the rate for a batch near yours, with its `reference_batch`",
    ),
    "far above": (
        {"reference_batch": 1, "batch_size": 64},
        "REG406",
        "reference_batch",
        "warning",
        "`rate` 0.1 is for 1 images a step and becomes 6.4 for 64; "
        "write the rate for a batch near yours, with its `reference_batch`",
    ),
    "one image": (
        {**SEGMENTATION, "batch_size": 4, "accumulation": 4},
        "REG407",
        "batch_size",
        "warning",
        "each pass has one image, over which batch norms take their statistics; write a larger batch_size, "
        "or a model with norm: {kind: group}; those that pool to one value fail",
    ),
    "accumulation": (
        {"accumulation": 3},
        "REG201",
        "accumulation",
        "error",
        "8 images do not divide into 3 passes; write batch_size: 9",
    ),
    "clipping": (
        {"clip_norm": 1.0, "clip_value": 1.0},
        "REG201",
        "clip_value",
        "error",
        "`clip_norm` and `clip_value` both bound gradients; "
        "keep one: the norm of all gradients, or the value of each number",
    ),
    "averaging": (
        {"averaging": {"count": 5}, "validate_every": 3},
        "REG408",
        "averaging.count",
        "warning",
        "5 checkpoints are averaged and 4 will be there; write at most 4",
    ),
    "noise": (
        {"rate_noise": {"start": 0.5, "end": 0.5}},
        "REG201",
        "rate_noise.end",
        "error",
        "the noise ends after 0.5 of the epochs and begins after 0.5; write a larger `end`",
    ),
    "scale": (
        {"augmentation": {"kind": "classification", "scale": [0.5, 0.2]}},
        "REG201",
        "augmentation.scale",
        "error",
        "`scale` runs from 0.5 to 0.2; write the smaller one first",
    ),
    "ratio": (
        {"augmentation": {"kind": "classification", "ratio": [2.0, 1.0]}},
        "REG201",
        "augmentation.ratio",
        "error",
        "`ratio` runs from 2 to 1; write the smaller one first",
    ),
    "area": (
        {"augmentation": {"kind": "classification", "scale": [0.5, 2.0]}},
        "REG201",
        "augmentation.scale",
        "error",
        "a crop has at most the picture's area, and `scale` reaches 2; write at most 1",
    ),
    "canvas": (
        {"augmentation": {"kind": "detection", "zoom_out": {"scale": [0.5, 2.0]}}},
        "REG201",
        "augmentation.zoom_out.scale",
        "error",
        "the canvas is as large as the picture or larger, and `scale` begins at 0.5; write at least 1",
    ),
    "jitter": (
        {"augmentation": {"kind": "detection", "scale_jitter": {"scale": [2.0, 0.5]}}},
        "REG201",
        "augmentation.scale_jitter.scale",
        "error",
        "`scale` runs from 2 to 0.5; write the smaller one first",
    ),
    "resize": (
        {"augmentation": {"kind": "segmentation", "resize": [90, 30]}},
        "REG201",
        "augmentation.resize",
        "error",
        "`resize` runs from 90 to 30; write the smaller one first",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_is_told_once_with_its_place_and_a_way_out(recipe: Make, name: str) -> None:
    settings, rule, place, severity, text = CASES[name]
    (found,) = recipe(**settings).check()
    assert (found.rule, ".".join(map(str, found.path)), found.severity) == (rule, place, severity)
    assert f"{found.message}; {found.suggestion}" == text


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": {"kind": "step", "every": 9}},
        {"schedule": {"kind": "multi_step", "epochs": [8, 9]}},
        {"schedule": {"kind": "multi_step", "epochs": [9]}, "warmup": {"epochs": 2, "delays_schedule": False}},
        {"warmup": {"epochs": 9, "per": "epoch"}},
        {"warmup": {"steps": 10_000}},
        {"optimizer": {"kind": "rmsprop", "tf_eps": 0.001}},
        {"augmentation": {"kind": "classification"}, "mixup_alpha": 0.2, "label_smoothing": 0.1},
        {"ema": STILL},
        {"ema": {"decay": 0.99998}},
        {"reference_batch": 256},
        {**DETECTION, "batch_size": 1},
        {"averaging": {"count": 4}, "validate_every": 3},
    ],
)
def test_nothing_is_said_of_a_good_recipe(recipe: Make, settings: dict[str, Any]) -> None:
    assert list(recipe(**settings).check()) == []
