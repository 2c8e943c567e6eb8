"""The search: trials until there are enough of them, by this process and any others that work on the same study."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState
from registry_training.prepare import Prepared
from registry_training.run import Stopped

from registry.errors import RegistryError
from registry.registry import Registry
from registry_tuning.asked import Asked
from registry_tuning.processes import interruptible
from registry_tuning.studies import free_dead, is_lost, opened, requeue
from registry_tuning.trials import Superfluous, Trials


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        study: with all trials of all processes.
        headline: what the figures are.
        best: the best trial.
    """

    study: optuna.Study
    headline: str
    best: FrozenTrial


def search(
    registry: Registry, asked: Asked, base: Prepared, told: Callable[[str], None] = lambda _: None
) -> Found | None:
    """Runs trials until the study has as many as are asked for; None if it was asked to stop and can go on.

    Args:
        base: as `checked` returns it.
        told: is given a line for each thing worth knowing.

    Raises:
        RegistryError: the storage cannot be used, a training cannot go on, or no trial came to its end.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RegistryError(
            "a trial runs in one process; start the same `registry tune` several times with one --storage instead of torchrun"
        )
    plan = base.plan
    metric = registry.task(plan.model).metric(plan.model)
    definition = {
        "search": {field.path: field.text for field in asked.fields},
        "folds": asked.folds,
        "seed": asked.seed,
        "figure": metric.headline,
        "pictures": len(base.training),
        "model": plan.model.digest()[:12],
        "recipe": _digest(plan.recipe.model_dump_json()),
    }
    asked.folder.mkdir(parents=True, exist_ok=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4) if asked.pruner == "median" else optuna.pruners.NopPruner()
    study = opened(asked.url, asked.study, definition, metric.higher_is_better, pruner)
    trials = Trials(registry, asked, base, told)
    try:
        with interruptible():
            _work(study, asked, trials, told)
    except (Stopped, KeyboardInterrupt):
        return None
    return Found(study, metric.headline, _best(study))


def _work(study: optuna.Study, asked: Asked, trials: Trials, told: Callable[[str], None]) -> None:
    """Runs trials until all have ended, here or elsewhere."""
    waiting = False
    while (left := _left(study, asked.trials)) is not None:
        for number in free_dead(study):
            told(f"trial {number}: its process is gone; its settings are tried again")
        if left:
            _one(study, asked, trials)
            continue
        if not waiting:  # the last ones run elsewhere, and may die there
            told("waiting for trials of other processes")
        waiting = True
        time.sleep(1)


def _one(study: optuna.Study, asked: Asked, trials: Trials) -> None:
    """Runs a trial, whose settings are queued again where it is stopped."""
    last: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        last.append(trial.number)
        study.sampler = _sampler(asked, trial.number)  # which settings are drawn from, one after the other
        return trials(trial)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            study.optimize(objective, n_trials=1, catch=(Superfluous,))
    except (Stopped, KeyboardInterrupt, RegistryError):
        _again(study, last)
        raise
    if trials.stop:
        raise Stopped


def _again(study: optuna.Study, numbers: list[int]) -> None:
    for number in numbers:
        trial = study.get_trials(deepcopy=False)[number]
        if trial.state == TrialState.FAIL:
            requeue(study, trial)


def _left(study: optuna.Study, wanted: int) -> int | None:
    """How many trials are still to be started; None where all have ended."""
    trials = study.get_trials(deepcopy=False)
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    done = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or is_lost(trial) for trial in trials)
    return None if done >= wanted else max(wanted - done - running, 0)


def _sampler(asked: Asked, number: int) -> optuna.samplers.BaseSampler:
    """A sampler whose draws depend on the seed, the trials so far, and the trial's number, which no other process has."""
    seed = random.Random(f"{asked.seed}/{number}").randrange(2**32)
    if asked.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(4, asked.trials // 3)))


def _best(study: optuna.Study) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    if all(trial.state != TrialState.COMPLETE for trial in trials):
        reasons = dict.fromkeys(trial.user_attrs.get("reason", "its process was killed") for trial in trials)
        raise RegistryError(
            f"none of {len(trials)} trials came to its end: {'; '.join(list(reasons)[:3])}; narrow the ranges, and choose "
            "another --study"
        )
    return study.best_trial


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:12]
