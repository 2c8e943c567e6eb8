"""The rate of every step of whole trainings, against torch's own schedulers joined as torchvision's references join them."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from registry_recipes.schedule_specs import RateNoiseSpec
from registry_recipes.schedules import rate_factor, rate_noise
from registry_recipes.specs import TrainingSpec
from torch.optim import lr_scheduler as torch_schedules

from registry.errors import RegistryError

Make = Callable[..., TrainingSpec]
Schedulers = Callable[[torch.optim.Optimizer], Any]
RATE = 0.064


def torch_rates(
    epochs: int, steps: int, *, per_epoch: Schedulers | None = None, per_step: Schedulers | None = None
) -> Iterator[float]:
    """Rates as a loop of torchvision's references sees them: some scheduler steps after each step, another after each epoch."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of joined schedulers, torch says that `step` has an argument it wants no more
        by_epoch = per_epoch(optimizer) if per_epoch else None
        by_step = per_step(optimizer) if per_step else None
        for _ in range(epochs):
            for _ in range(steps):
                yield optimizer.param_groups[0]["lr"]
                optimizer.step()
                if by_step is not None:
                    by_step.step()
            if by_epoch is not None:
                by_epoch.step()


def our_rates(recipe: TrainingSpec, steps: int) -> list[float]:
    return [RATE * rate_factor(recipe, step, steps) for step in range(recipe.epochs * steps)]


def same(ours: list[float], theirs: Iterator[float]) -> None:
    assert ours == pytest.approx(list(theirs), rel=1e-9, abs=1e-15)


def joined(warm: Schedulers, main: Schedulers, at: int) -> Schedulers:
    return lambda o: torch_schedules.SequentialLR(o, schedulers=[warm(o), main(o)], milestones=[at])


# ---- schedules alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 7])
def test_step_equals_torchs_over_the_article_recipes_600_epochs(recipe: Make, every: int) -> None:
    made = recipe(epochs=600, schedule={"kind": "step", "every": every, "factor": 0.973})
    same(our_rates(made, 3), torch_rates(600, 3, per_epoch=lambda o: torch_schedules.StepLR(o, every, 0.973)))


def test_the_article_recipe_ends_at_its_published_rate(recipe: Make) -> None:
    made = recipe(epochs=600, schedule={"kind": "step", "every": 2, "factor": 0.973})
    assert our_rates(made, 1)[-1] == pytest.approx(0.064 * 0.973**299)
    assert our_rates(made, 1)[-1] == pytest.approx(1.74e-5, rel=0.03)


def test_multi_step_equals_torchs(recipe: Make) -> None:
    made = recipe(epochs=26, schedule={"kind": "multi_step", "epochs": [16, 22], "factor": 0.1})
    same(our_rates(made, 5), torch_rates(26, 5, per_epoch=lambda o: torch_schedules.MultiStepLR(o, [16, 22], 0.1)))


def test_exponential_equals_torchs(recipe: Make) -> None:
    made = recipe(epochs=300, schedule={"kind": "exponential", "factor": 0.98})
    same(our_rates(made, 2), torch_rates(300, 2, per_epoch=lambda o: torch_schedules.ExponentialLR(o, 0.98)))


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine_equals_torchs_by_epoch(recipe: Make, final: float) -> None:
    made = recipe(epochs=90, schedule={"kind": "cosine", "final_factor": final})
    theirs = torch_rates(90, 4, per_epoch=lambda o: torch_schedules.CosineAnnealingLR(o, 90, eta_min=final * RATE))
    same(our_rates(made, 4), theirs)


def test_cosine_equals_torchs_by_step(recipe: Make) -> None:
    made = recipe(epochs=9, schedule={"kind": "cosine", "final_factor": 0.1, "per": "step"})
    theirs = torch_rates(9, 40, per_step=lambda o: torch_schedules.CosineAnnealingLR(o, 360, eta_min=0.1 * RATE))
    same(our_rates(made, 40), theirs)


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_polynomial_equals_torchs_and_the_closed_form_by_step(recipe: Make, power: float) -> None:
    made = recipe(epochs=30, schedule={"kind": "polynomial", "power": power})
    ours = our_rates(made, 20)
    same(ours, torch_rates(30, 20, per_step=lambda o: torch_schedules.PolynomialLR(o, 600, power)))
    assert ours == pytest.approx([RATE * (1 - step / 600) ** power for step in range(600)])


def test_constant_stays(recipe: Make) -> None:
    assert our_rates(recipe(epochs=3), 4) == [RATE] * 12


# ---- joined with a warm-up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "constant"])
@pytest.mark.parametrize("main", ["cosine", "step", "exponential"])
def test_classification_joins_warm_up_and_schedule_by_epoch(recipe: Make, kind: str, main: str) -> None:
    """references/classification/train.py: SequentialLR; the cosine's T_max is epochs - lr_warmup_epochs."""
    schedules: dict[str, tuple[dict[str, Any], Schedulers]] = {
        "cosine": ({}, lambda o: torch_schedules.CosineAnnealingLR(o, 35)),
        "step": ({"every": 3, "factor": 0.5}, lambda o: torch_schedules.StepLR(o, 3, 0.5)),
        "exponential": ({"factor": 0.9}, lambda o: torch_schedules.ExponentialLR(o, 0.9)),
    }
    warm: dict[str, Schedulers] = {
        "linear": lambda o: torch_schedules.LinearLR(o, start_factor=0.01, total_iters=5),
        "constant": lambda o: torch_schedules.ConstantLR(o, factor=0.01, total_iters=5),
    }
    settings, theirs = schedules[main]
    made = recipe(
        epochs=40,
        schedule={"kind": main, **settings},
        warmup={"kind": kind, "start_factor": 0.01, "epochs": 5, "per": "epoch"},
    )
    same(our_rates(made, 3), torch_rates(40, 3, per_epoch=joined(warm[kind], theirs, 5)))


@pytest.mark.parametrize("kind", ["linear", "constant"])
def test_segmentation_joins_warm_up_and_polynomial_by_step(recipe: Make, kind: str) -> None:
    """references/segmentation/train.py: PolynomialLR over steps x (epochs - lr_warmup_epochs), warm-up counted in steps."""
    steps, epochs = 25, 12
    warm: dict[str, Schedulers] = {
        "linear": lambda o: torch_schedules.LinearLR(o, start_factor=0.01, total_iters=2 * steps),
        "constant": lambda o: torch_schedules.ConstantLR(o, factor=0.01, total_iters=2 * steps),
    }
    made = recipe(
        epochs=epochs,
        schedule={"kind": "polynomial", "power": 0.9},
        warmup={"kind": kind, "start_factor": 0.01, "epochs": 2},
    )
    main: Schedulers = lambda o: torch_schedules.PolynomialLR(o, steps * (epochs - 2), 0.9)  # noqa: E731
    same(our_rates(made, steps), torch_rates(epochs, steps, per_step=joined(warm[kind], main, 2 * steps)))


@pytest.mark.parametrize("steps", [2, 30, 1001, 1500])
def test_detection_warms_up_within_the_first_epoch_beside_its_schedule(recipe: Make, steps: int) -> None:
    """references/detection/engine.py: LinearLR from 1/1000 over min(1000, len - 1) steps of epoch 0, MultiStepLR by epoch."""
    made = recipe(
        epochs=4,
        schedule={"kind": "multi_step", "epochs": [1, 3], "factor": 0.1},
        warmup={"start_factor": 0.001, "steps": 1000, "within_first_epoch": True, "delays_schedule": False},
    )
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=RATE)
    main = torch_schedules.MultiStepLR(optimizer, [1, 3], 0.1)
    theirs = []
    for epoch in range(4):
        warm = None
        if epoch == 0:
            warm = torch_schedules.LinearLR(optimizer, start_factor=0.001, total_iters=min(1000, steps - 1))
        for _ in range(steps):
            theirs.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if warm is not None:
                warm.step()
        main.step()
    same(our_rates(made, steps), iter(theirs))


def test_an_epoch_of_one_step_has_no_warm_up_within_it(recipe: Make) -> None:
    made = recipe(epochs=3, warmup={"steps": 1000, "within_first_epoch": True})
    assert our_rates(made, 1) == [RATE] * 3


def test_a_warm_up_in_steps_delays_the_schedule_by_so_many_steps(recipe: Make) -> None:
    made = recipe(epochs=2, schedule={"kind": "polynomial", "power": 1.0}, warmup={"start_factor": 0.5, "steps": 4})
    expected = [0.5, 0.625, 0.75, 0.875, *(1 - step / 16 for step in range(16))]
    assert [rate_factor(made, step, 10) for step in range(20)] == pytest.approx(expected)


# ---- noise -----------------------------------------------------------------------------------------------------------


def noises(seed: int, count: int = 4000, **settings: float) -> list[float]:
    spec = RateNoiseSpec.model_validate(settings)
    return [rate_noise(spec, seed, epoch, count) for epoch in range(count)]


def test_noise_multiplies_the_rate_of_its_epochs_and_of_no_others(recipe: Make) -> None:
    noise = {"start": 0.2, "end": 0.6, "limit": 0.5}
    made = recipe(rate_noise=noise, seed=3)
    factors = [rate_factor(made, step, 2) for step in range(20)]
    assert factors[:4] == [1.0] * 4
    assert factors[12:] == [1.0] * 8
    during = factors[4:12]
    assert during[::2] == during[1::2]  # both steps of an epoch
    assert len({*during, 1.0}) == 5


def test_noise_depends_on_seed_and_epoch_alone(recipe: Make) -> None:
    made = recipe(rate_noise={}, seed=7)
    assert rate_factor(made, 5 * 13, 13) == rate_factor(made, 5 * 999 + 17, 999)
    assert rate_factor(made, 5, 1) != rate_factor(recipe(rate_noise={}, seed=8), 5, 1)


def test_noise_is_a_normal_distribution_cut_off_at_its_limit() -> None:
    """Mean 0, and for a deviation far above the limit that of a uniform distribution, limit / sqrt(3)."""
    wide = noises(0, std=50.0, limit=0.6)
    assert max(map(abs, wide)) <= 0.6
    assert sum(wide) / len(wide) == pytest.approx(0, abs=0.03)
    assert math.sqrt(sum(n * n for n in wide) / len(wide)) == pytest.approx(0.6 / math.sqrt(3), rel=0.03)
    narrow = noises(0, std=0.05, limit=0.6)
    assert math.sqrt(sum(n * n for n in narrow) / len(narrow)) == pytest.approx(0.05, rel=0.05)


# ---- contract --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "steps"), [(-1, 10), (0, 0)])
def test_steps_that_cannot_be_are_refused(recipe: Make, step: int, steps: int) -> None:
    with pytest.raises(RegistryError, match="steps count from 0"):
        rate_factor(recipe(), step, steps)


def test_nothing_of_it_imports_torch() -> None:
    code = "import sys, registry_recipes.schedules; sys.exit(any(m in sys.modules for m in ('torch', 'PIL', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
