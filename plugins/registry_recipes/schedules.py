"""The rate at every step of a training, as a factor: warm-up, schedule and noise in closed form, without torch."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from statistics import NormalDist

from registry.errors import RegistryError
from registry_recipes.schedule_specs import (
    ConstantSpec,
    CosineSpec,
    ExponentialSpec,
    MultiStepSpec,
    PolynomialSpec,
    RateNoiseSpec,
    ScheduleSpec,
    StepSpec,
    WarmupSpec,
)
from registry_recipes.specs import TrainingSpec


def rate_factor(recipe: TrainingSpec, step: int, steps_per_epoch: int) -> float:
    """What the rate is multiplied by in one step.

    Args:
        step: updates before it, from 0.
        steps_per_epoch: updates of an epoch, 1 or more.

    Raises:
        RegistryError: a step or an epoch that cannot be.
    """
    if step < 0 or steps_per_epoch < 1:
        raise RegistryError(f"step {step} of {steps_per_epoch} an epoch; steps count from 0, an epoch has at least 1")
    length = warmup_steps(recipe.warmup, steps_per_epoch)
    factor, delay = 1.0, 0
    if recipe.warmup is not None:
        factor = _warmup_factor(recipe.warmup, step, steps_per_epoch, length)
        delay = length if recipe.warmup.delays_schedule else 0
    if step >= delay:
        factor *= _schedule_factor(
            recipe.schedule, step - delay, steps_per_epoch, recipe.epochs * steps_per_epoch - delay
        )
    if recipe.rate_noise is not None:
        factor *= 1.0 + rate_noise(recipe.rate_noise, recipe.seed, step // steps_per_epoch, recipe.epochs)
    return factor


def warmup_steps(warmup: WarmupSpec | None, steps_per_epoch: int) -> int:
    """How many steps the warm-up lasts; 0 without one."""
    if warmup is None:
        return 0
    length = warmup.steps if warmup.steps is not None else (warmup.epochs or 0) * steps_per_epoch
    return min(length, steps_per_epoch - 1) if warmup.within_first_epoch else length


def _warmup_factor(warmup: WarmupSpec, step: int, steps_per_epoch: int, length: int) -> float:
    if step >= length:
        return 1.0
    if warmup.kind == "constant":
        return warmup.start_factor
    whole = steps_per_epoch if warmup.per == "epoch" else 1
    passed = (step // whole * whole) / length
    return warmup.start_factor + (1.0 - warmup.start_factor) * passed


def _schedule_factor(schedule: ScheduleSpec, step: int, steps_per_epoch: int, steps: int) -> float:
    """The factor after `step` of `steps` steps of the schedule's own."""
    epoch = step // steps_per_epoch
    if isinstance(schedule, ConstantSpec):
        return 1.0
    if isinstance(schedule, StepSpec):
        return schedule.factor ** (epoch // schedule.every)
    if isinstance(schedule, MultiStepSpec):
        return schedule.factor ** bisect_right(schedule.epochs, epoch)
    if isinstance(schedule, ExponentialSpec):
        return schedule.factor**epoch
    steps = max(steps, 1)
    if isinstance(schedule, CosineSpec):
        passed = min(1.0, (step if schedule.per == "step" else epoch * steps_per_epoch) / steps)
        return schedule.final_factor + (1.0 - schedule.final_factor) * (1.0 + math.cos(math.pi * passed)) / 2.0
    assert isinstance(schedule, PolynomialSpec)
    return float((1.0 - min(1.0, step / steps)) ** schedule.power)


def rate_noise(noise: RateNoiseSpec, seed: int, epoch: int, epochs: int) -> float:
    """The noise of one epoch, -limit to limit; 0 outside of its range. The same seed and epoch give the same.

    A uniform number from a hash goes through the inverse of the normal distribution, cut off at the limit, which is what
    drawing anew until it is within the limit amounts to.
    """
    if not noise.start * epochs <= epoch < noise.end * epochs:
        return 0.0
    digest = hashlib.sha256(f"rate_noise:{seed}:{epoch}".encode()).digest()
    uniform = (int.from_bytes(digest[:6], "big") + 0.5) / 2.0**48
    normal = NormalDist(0.0, noise.std)
    low, high = normal.cdf(-noise.limit), normal.cdf(noise.limit)
    return max(-noise.limit, min(noise.limit, normal.inv_cdf(low + uniform * (high - low))))
