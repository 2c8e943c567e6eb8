"""The search itself, with arithmetic in place of training: what counts, what is pruned, what is gone on with."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from registry_training.run import Stopped
from registry_training.trainer import NotFiniteError
from registry_tuning.asked import Asked, checked
from registry_tuning.fields import parsed
from registry_tuning.report import printed, summary
from registry_tuning.search import Found, search

import registry
from registry.errors import RegistryError

Install = Callable[[Callable[[Any, str, int], float]], list[tuple[str, list[str], list[str]]]]


def other(asked: Asked, searches: Sequence[str] | None = None, **changes: Any) -> Asked:
    """The same search with some things changed."""
    fields = asked.fields if searches is None else parsed(searches)
    return replace(asked, fields=fields, **changes)


def run(asked: Asked) -> Found | None:
    made = registry.default_registry()
    return search(made, asked, checked(made, asked))


def ended(asked: Asked) -> Found:
    found = run(asked)
    assert found is not None
    return found


def trials(asked: Asked) -> list[FrozenTrial]:
    return optuna.load_study(storage=asked.url, study_name=asked.study).get_trials()


def by_rate(recipe: Any, fold: str, epoch: int) -> float:
    """Best at 1e-3: one less the distance in decades, and 0.01 more in each further fold."""
    return float(1 - abs(math.log10(recipe.rate) + 3) + 0.01 * int(fold[-1]))


def test_the_figure_is_the_mean_of_the_folds(asked: Asked, arithmetic: Install) -> None:
    runs = arithmetic(by_rate)
    found = ended(asked)
    every = found.study.get_trials()
    assert [trial.state for trial in every] == [TrialState.COMPLETE] * 6
    for trial in every:
        expected = 1 - abs(math.log10(trial.params["recipe.rate"]) + 3)
        assert trial.value == pytest.approx(expected + 0.01 * statistics.fmean([1, 2, 3]))
        assert trial.user_attrs["figures"] == pytest.approx([expected + 0.01 * fold for fold in (1, 2, 3)])
    assert found.best.value == max(trial.value for trial in every if trial.value is not None)
    assert len(runs) == 18
    everything = {f"{name}/{index}.png" for name in ("bright", "dark") for index in range(6)}
    for start in range(0, 18, 3):
        assert {name for _, _, held_out in runs[start : start + 3] for name in held_out} == everything
    for _, training, held_out in runs:
        assert set(training) | set(held_out) == everything
        assert set(training) & set(held_out) == set()
        assert sum(name.startswith("dark") for name in held_out) == 2  # 6 of 12 pictures are dark: half of each fold


def test_the_same_seed_draws_the_same(asked: Asked, arithmetic: Install, tmp_path: Path) -> None:
    arithmetic(by_rate)

    def drawn(asked: Asked) -> list[float]:
        return [trial.params["recipe.rate"] for trial in ended(asked).study.get_trials()]

    first = drawn(asked)
    assert drawn(other(asked, folder=tmp_path / "again")) == first
    assert drawn(other(asked, folder=tmp_path / "seed", seed=1))[0] != first[0]
    assert all(1e-4 <= rate <= 1e-2 for rate in first)
    assert len(set(first)) == 6


def test_every_kind_of_range_reaches_the_recipe(asked: Asked, arithmetic: Install) -> None:
    seen: list[Any] = []
    arithmetic(lambda recipe, fold, epoch: seen.append(recipe) or 0.5)  # type: ignore[func-returns-value]
    searches = [
        "recipe.optimizer.kind=choice:sgd,adamw",
        "recipe.epochs=int:2,6,2",
        "recipe.label_smoothing=linear:0.1,0.2",
        "recipe.schedule=choice:{kind: constant},{kind: cosine}",
    ]
    fixed = [text for text in asked.assignments if not text.startswith("recipe.epochs")]
    found = ended(other(asked, searches, trials=12, sampler="random", assignments=fixed, folds=2))
    assert {recipe.optimizer.kind for recipe in seen} == {"sgd", "adamw"}
    assert {recipe.epochs for recipe in seen} == {2, 4, 6}
    assert {recipe.schedule.kind for recipe in seen} == {"constant", "cosine"}
    assert all(0.1 <= recipe.label_smoothing <= 0.2 for recipe in seen)
    told = summary(other(asked, searches), found)
    assert told["best"]["settings"]["recipe.schedule"] in ({"kind": "constant"}, {"kind": "cosine"})


def test_hopeless_trials_are_pruned_and_others_are_not(asked: Asked, arithmetic: Install) -> None:
    calls: list[str] = []

    def figure(recipe: Any, fold: str, epoch: int) -> float:
        calls.append(fold)
        return 0.9 if len(calls) <= 4 * 12 else 0.1  # four good trials of three folds of four epochs

    arithmetic(figure)
    found = ended(other(asked, pruner="median"))
    states = [trial.state for trial in found.study.get_trials()]
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.PRUNED] * 2
    assert len(calls) == 4 * 12 + 2  # after the first validation
    assert found.study.get_trials()[4].intermediate_values == {250: 0.1}  # a quarter of the first fold, in thousandths
    assert found.study.get_trials()[4].user_attrs["reason"] == "worse than most in fold 1 after epoch 1"
    assert found.study.get_trials()[0].intermediate_values[2500] == pytest.approx(0.9)


def test_what_diverges_counts_as_pruned(asked: Asked, arithmetic: Install) -> None:
    def figure(recipe: Any, fold: str, epoch: int) -> float:
        if recipe.rate > 1e-3:
            raise NotFiniteError("the loss is nan", ["a.png"])
        return math.nan if recipe.rate > 5e-4 else 0.5

    arithmetic(figure)
    every = ended(other(asked, trials=8, sampler="random")).study.get_trials()
    for trial in every:
        expected = TrialState.PRUNED if trial.params["recipe.rate"] > 5e-4 else TrialState.COMPLETE
        assert trial.state == expected
    reasons = {trial.user_attrs.get("reason") for trial in every}
    assert "diverged in fold 1: the loss is nan" in reasons
    assert {trial.state for trial in every} == {TrialState.PRUNED, TrialState.COMPLETE}


def test_settings_that_refuse_each_other_are_no_end_of_the_search(asked: Asked, arithmetic: Install) -> None:
    arithmetic(lambda recipe, fold, epoch: 0.5)
    searches = ["recipe.optimizer.kind=choice:sgd,adamw", "recipe.optimizer.beta1=linear:0.8,0.95"]
    every = ended(other(asked, searches, trials=10, sampler="random")).study.get_trials()
    for trial in every:
        refused = trial.params["recipe.optimizer.kind"] == "sgd"
        assert (trial.state == TrialState.PRUNED) == refused
        assert ("unknown key `beta1`" in trial.user_attrs.get("reason", "")) == refused


def test_a_search_without_a_single_result_says_why(asked: Asked, arithmetic: Install) -> None:
    def figure(recipe: Any, fold: str, epoch: int) -> float:
        raise NotFiniteError("the loss is nan", [])

    arithmetic(figure)
    with pytest.raises(RegistryError, match="none of 2 trials came to its end: diverged in fold 1: the loss is nan"):
        run(other(asked, trials=2))


# ---- going on ---------------------------------------------------------------------------------------------------------


def test_the_same_command_goes_on(asked: Asked, arithmetic: Install) -> None:
    runs = arithmetic(by_rate)
    ended(other(asked, trials=2))
    ended(asked)
    assert len(runs) == 18
    ended(asked)
    assert len(runs) == 18


@pytest.mark.parametrize("raised", [Stopped, KeyboardInterrupt])
def test_a_stopped_trial_keeps_its_folds(asked: Asked, arithmetic: Install, raised: type[BaseException]) -> None:
    stop = [True]

    def figure(recipe: Any, fold: str, epoch: int) -> float:
        if fold == "fold-2" and stop:
            stop.clear()
            raise raised
        return by_rate(recipe, fold, epoch)

    runs = arithmetic(figure)
    assert run(other(asked, trials=1)) is None
    first, queued = trials(asked)
    assert (first.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
    found = ended(other(asked, trials=1))
    assert found.best.params == first.params
    assert [folder for folder, _, _ in runs] == [
        "00000/fold-1",
        "00000/fold-2",
        "00001/fold-2",
        "00001/fold-3",
    ]
    assert found.best.user_attrs["figures"] == pytest.approx(
        [1 - abs(math.log10(first.params["recipe.rate"]) + 3) + 0.01 * fold for fold in (1, 2, 3)]
    )


def test_an_error_stops_the_search_and_its_settings_come_again(asked: Asked, arithmetic: Install) -> None:
    def full(recipe: Any, fold: str, epoch: int) -> float:
        raise RegistryError("the disk is full")

    arithmetic(full)
    for _ in range(5):  # not the trial's fault, so it is never given up
        with pytest.raises(RegistryError, match="the disk is full"):
            run(other(asked, trials=1))
    before = trials(asked)[0].params
    arithmetic(by_rate)
    assert ended(other(asked, trials=1)).best.params == before


def _killed(asked: Asked, last: int) -> None:
    """A process that dies in a fold."""
    import registry_tuning.trials

    class Dies:
        asked_to_stop = False

        def train(self, told: Callable[[Any], None]) -> None:
            told({"epoch": 4, "figures": {"top1": 0.25}})
            seen.append(1)
            if len(seen) == last:
                os.kill(os.getpid(), 9)

    seen: list[int] = []
    registry_tuning.trials.made_run = lambda *_: Dies()  # type: ignore[assignment,return-value]
    run(asked)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_killed_trial_is_tried_again_at_once(asked: Asked, arithmetic: Install) -> None:
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(asked, 2))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    (dead,) = trials(asked)
    assert dead.state == TrialState.RUNNING
    runs = arithmetic(by_rate)
    ended(other(asked, trials=2))
    every = trials(asked)
    assert [trial.state for trial in every] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert every[1].params == dead.params
    assert every[1].user_attrs["figures"][0] == 0.25  # of the process that was killed
    assert len(runs) == 2 + 3


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_settings_that_kill_three_times_are_given_up(asked: Asked, arithmetic: Install) -> None:
    one = other(asked, trials=2)
    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(target=_killed, args=(one, 1))
        process.start()
        process.join(60)
    before = [trial.params for trial in trials(asked)]
    assert len(before) == 3
    assert before.count(before[0]) == 3
    arithmetic(by_rate)
    found = ended(one)
    assert [trial.state for trial in trials(asked)] == [TrialState.FAIL] * 3 + [TrialState.COMPLETE]
    assert found.best.params != before[0]
    assert summary(one, found)["trials"] == {"complete": 1, "pruned": 0, "lost": 1}


def _works(asked: Asked) -> None:
    import time

    import accelerate
    import registry_tuning.trials

    accelerate.Accelerator.free_memory = lambda *_: None  # type: ignore[method-assign]

    class Slow:
        asked_to_stop = False

        def train(self, told: Callable[[Any], None]) -> None:
            time.sleep(0.1)
            told({"epoch": 4, "figures": {"top1": 0.5}})

    registry_tuning.trials.made_run = lambda *_: Slow()  # type: ignore[assignment,return-value]
    assert run(asked) is not None


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_two_processes_share_one_sqlite_study(asked: Asked) -> None:
    wanted = other(asked, trials=9, folds=2)
    processes = [multiprocessing.get_context("fork").Process(target=_works, args=(wanted,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    complete = [trial for trial in trials(asked) if trial.state == TrialState.COMPLETE]
    assert len(complete) == 9
    assert len({trial.params["recipe.rate"] for trial in complete}) == 9
    workers = [trial.user_attrs["process"]["pid"] for trial in complete]
    assert set(workers) == {process.pid for process in processes}


# ---- results ----------------------------------------------------------------------------------------------------------


def test_the_patch_is_a_spec(asked: Asked, arithmetic: Install, capsys: pytest.CaptureFixture[str]) -> None:
    arithmetic(by_rate)
    searches = ["recipe.rate=log:1e-4,1e-2", "recipe.optimizer.weight_decay=log:1e-6,1e-4", "head.dropout=linear:0,0.3"]
    wanted = other(asked, searches)
    found = ended(wanted)
    made = registry.default_registry()
    printed(made, wanted, found, "json")
    told = json.loads(capsys.readouterr().out)
    spec = made.load_spec(str(asked.folder / "tuned.yaml"))
    best = found.best.params
    recipe: Any = spec.recipe
    assert (recipe.rate, recipe.optimizer.weight_decay) == (best["recipe.rate"], best["recipe.optimizer.weight_decay"])
    assert spec.head.model_dump()["dropout"] == best["head.dropout"]
    assert recipe.epochs == 4  # a fixed setting
    assert told["patch"]["recipe"]["optimizer"]["weight_decay"] == best["recipe.optimizer.weight_decay"]
    assert told["set"][0] == f"recipe.rate={best['recipe.rate']}"
    assert told["best"]["value"] == pytest.approx(sum(told["best"]["folds"]) / 3)
    assert (told["figure"], told["direction"], told["trials"]["complete"]) == ("top1", "maximize", 6)
    by_words = made.load_spec(
        asked.model, overrides=["recipe=finetune_classification", *asked.assignments, *told["set"]]
    )
    assert by_words.recipe == spec.recipe
    assert Path(told["plot"]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    printed(made, wanted, found, "text")
    text = capsys.readouterr().out
    assert f"best: trial {found.best.number}, top1" in text
    assert f"  rate: {best['recipe.rate']}" in text
    assert f"--set recipe.rate={best['recipe.rate']}" in text


def test_a_signal_at_the_end_of_a_fold_stops_too(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate
    import registry_tuning.trials

    class Signalled:
        asked_to_stop = True  # as after a signal during the last validation

        def train(self, told: Callable[[Any], None]) -> None:
            told({"epoch": 4, "figures": {"top1": 0.5}})

    monkeypatch.setattr(registry_tuning.trials, "made_run", lambda *_: Signalled())
    monkeypatch.setattr(accelerate.Accelerator, "free_memory", lambda _: None)
    assert run(asked) is None
    first, queued = trials(asked)
    assert (first.state, queued.state) == (TrialState.FAIL, TrialState.WAITING)
    assert queued.user_attrs["figures"] == [0.5]
