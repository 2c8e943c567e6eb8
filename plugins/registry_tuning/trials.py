"""One trial: the folds trained one after the other under the settings that the sampler draws."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from accelerate.state import AcceleratorState
from registry_training.prepare import Prepared
from registry_training.run import Run, Stopped
from registry_training.start import Wanted, made_run, ready_for
from registry_training.trainer import NotFiniteError

from registry.errors import RegistryWarning
from registry.registry import Registry
from registry_tuning.asked import Asked, refusal
from registry_tuning.fields import Field, setting
from registry_tuning.folds import folds_of
from registry_tuning.processes import this_process

#: Steps that a fold has in a trial's intermediate values: `1500` is in the middle of the second one.
PER_FOLD = 1000


class Superfluous(Exception):
    """A trial that other processes have made needless in the meantime."""


class Trials:
    """The objective of a study.

    Args:
        base: the training whose settings are varied.
        told: is given a line for each thing worth knowing.

    Attributes:
        stop: whether the process was asked to stop while the newest fold came to its end.
    """

    stop = False

    def __init__(self, registry: Registry, asked: Asked, base: Prepared, told: Callable[[str], None]) -> None:
        self._registry, self._asked, self._base, self._told = registry, asked, base, told

    def __call__(self, trial: optuna.Trial) -> float:
        """The mean of the folds' headline figures.

        Raises:
            optuna.TrialPruned: a hopeless trial; the user attribute `reason` says why.
            Superfluous: there are enough trials.
            RegistryError, Stopped: what stops the search; the trial's settings can be tried again.
        """
        trial.set_user_attr("process", this_process())
        self._leave_if_superfluous(trial)
        try:
            return self._figure(trial)
        except optuna.TrialPruned:
            raise
        except BaseException:
            trial.set_user_attr("stopped", True)
            raise

    def _figure(self, trial: optuna.Trial) -> float:
        settings = [setting(field.path, field.value(_drawn(trial, field))) for field in self._asked.fields]
        self._told(f"trial {trial.number}: {' '.join(settings)}")
        pairs = folds_of(self._base.training, self._asked.folds, self._asked.seed)
        reason = refusal(self._registry, self._asked, self._base, settings, min(len(one) for one, _ in pairs))
        if reason is not None:
            raise self._given_up(trial, f"refused: {reason}")
        figures: list[float] = list(trial.user_attrs.get("figures", ()))
        for done in range(1, len(figures) + 1):  # by a process that was killed
            trial.report(statistics.fmean(figures[:done]), PER_FOLD * done)
        folder = self._asked.folder / "trials" / f"{trial.number:05}"
        for number in range(len(figures), self._asked.folds):
            figures.append(self._fold(trial, settings, number, figures, folder / f"fold-{number + 1}"))
            trial.set_user_attr("figures", figures)
            self._told(f"trial {trial.number}: fold {number + 1} of {self._asked.folds}: {figures[-1]:.4g}")
            if self.stop:
                raise Stopped
        return statistics.fmean(figures)

    def _fold(self, trial: optuna.Trial, settings: list[str], number: int, before: list[float], folder: Path) -> float:
        asked = self._asked
        wanted = Wanted(
            model=asked.model,
            data=asked.data,
            recipe=asked.recipe,
            assignments=[*asked.assignments, *settings],
            weights=asked.weights,
            backbone_weights=asked.backbone_weights,
            folder=folder,
            resume=False,
            device=asked.device,
            workers=asked.workers,
            save_every=10**9,
            overfit=None,
        )
        AcceleratorState._reset_state()  # the precision may be another one than the last trial's
        accelerator, ready = ready_for(self._registry, wanted)
        training, validation = folds_of(ready.training, asked.folds, asked.seed)[number]
        ready = replace(ready, training=training, validation=validation)
        metric = self._registry.task(ready.plan.model).metric(ready.plan.model)
        epochs = ready.plan.recipe.epochs
        newest = math.nan
        run: Run | None = None

        def told(event: Any) -> None:
            nonlocal newest
            if not isinstance(event, dict):
                return
            newest = float(event["figures"][metric.headline])
            if not math.isfinite(newest):
                raise self._given_up(trial, f"{metric.headline} of fold {number + 1} is {newest}")
            step = PER_FOLD * number + math.ceil(PER_FOLD * event["epoch"] / epochs)
            trial.report(statistics.fmean([*before, newest]), step)
            if step < PER_FOLD * asked.folds and trial.should_prune():
                raise self._given_up(trial, f"worse than most in fold {number + 1} after epoch {event['epoch']}")

        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The reported value is ignored because this `step`")
                warnings.simplefilter("ignore", RegistryWarning)  # the same ones in every fold
                run = made_run(self._registry, wanted, accelerator, ready)
                run.train(told)
                if ready.plan.recipe.averaging is not None:  # then it is the averaged model that a training ends in
                    newest = run.averaged_figures()[metric.headline]
                    if not math.isfinite(newest):
                        raise self._given_up(trial, f"{metric.headline} of fold {number + 1} is {newest}")
        except NotFiniteError as error:
            raise self._given_up(trial, f"diverged in fold {number + 1}: {error}") from error
        finally:
            self.stop = run is not None and run.asked_to_stop  # a signal that came after its last step
            accelerator.free_memory()
            for path in (*folder.glob("*.safetensors"), folder / "state.pt"):
                path.unlink(missing_ok=True)
        return newest

    def _given_up(self, trial: optuna.Trial, reason: str) -> optuna.TrialPruned:
        trial.set_user_attr("reason", reason)
        self._told(f"trial {trial.number}: {reason}")
        return optuna.TrialPruned(reason)

    def _leave_if_superfluous(self, trial: optuna.Trial) -> None:
        """Of several processes that start the last trial at once, the first one runs it."""
        states = optuna.trial.TrialState
        counted = (states.COMPLETE, states.PRUNED, states.RUNNING)
        others = trial.study.get_trials(deepcopy=False, states=counted)
        if sum(other.number < trial.number for other in others) >= self._asked.trials:
            trial.set_user_attr("superfluous", True)
            raise Superfluous


def _drawn(trial: optuna.Trial, field: Field) -> Any:
    if field.choices is not None:
        return trial.suggest_categorical(field.path, list(field.choices))
    if field.kind == "int":
        return trial.suggest_int(field.path, int(field.low), int(field.high), step=field.step)
    return trial.suggest_float(field.path, field.low, field.high, log=field.kind == "log")
