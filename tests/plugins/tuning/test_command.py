"""`registry tune` as a command: what it refuses before the first trial, a real search, and a killed process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from click.testing import CliRunner, Result
from optuna.trial import TrialState
from registry_training.run import Run
from registry_tuning.command_tune import tune
from safetensors.torch import load_file

import registry
from registry.diagnostics import SpecError
from registry.errors import MissingExtraError, RegistryError

MODEL = "mobilenet_v3_digits"
TRAINING = ["--recipe", "finetune_classification", "--device", "cpu", "--workers", "0"]
for _text in ("start=random", "epochs=1", "batch_size=4", "reference_batch=null", "warmup=null", "augmentation=null"):
    TRAINING += ["--set", f"recipe.{_text}"]
RATE = ["--search", "recipe.rate=log:1e-4,1e-2"]


def call(data: Path, folder: Path, *words: str) -> Result:
    return CliRunner().invoke(tune, [MODEL, "--data", f"{data}/", *TRAINING, "-o", str(folder), *words])


MISTAKES: dict[str, tuple[list[str], str]] = {
    "an unknown field": (
        ["--search", "recipe.optimizer.weight_deca=log:1e-6,1e-4"],
        "--search recipe.optimizer.weight_deca: 1e-06 is refused: unknown key `weight_deca` in `optimizer`, did you mean "
        "`weight_decay`",
    ),
    "an unknown field of the data": (["--search", "dataset.sede=int:1,2"], "did you mean `seed`"),
    "a range the other way round": (["--search", "recipe.rate=log:1,1e-3"], "write recipe.rate=log:1e-3,1"),
    "a logarithm of 0": (["--search", "recipe.rate=log:0,1"], "has no logarithm"),
    "a field that is set too": (
        ["--search", "recipe.epochs=int:0,2", "--set", "recipe.epochs=1"],
        "recipe.epochs is both set and searched; leave out --set or --search",
    ),
    "what the recipe refuses at the upper end": (
        ["--search", "recipe.label_smoothing=linear:0.1,1.5"],
        "--search recipe.label_smoothing: 1.5 is refused: ",
    ),
    "what the recipe refuses at the lower end": (
        ["--search", "recipe.validate_every=int:0,2"],
        "--search recipe.validate_every: 0 is refused: ",
    ),
    "a choice that is none": (
        ["--search", "recipe.optimizer.kind=choice:sgd,adam"],
        '--search recipe.optimizer.kind: "adam" is refused: ',
    ),
    "parts that the batch does not divide into": (
        ["--search", "recipe.accumulation=choice:1,3"],
        "--search recipe.accumulation: 3 is refused: ",
    ),
    "more folds than pictures": (
        [*RATE, "--folds", "13"],
        "12 training pictures cannot be cut into 13 folds; lower --folds",
    ),
    "a storage that is no URL": ([*RATE, "--storage", "study.db"], "the storage is no URL; write for instance"),
    "a storage that is not there": (
        [*RATE, "--storage", "sqlite:////nowhere/at/all/study.db"],
        "the storage sqlite:////nowhere/at/all/study.db cannot be used: ",
    ),
    "a storage of an unknown kind": ([*RATE, "--storage", "nosuchbase://host/base"], "cannot be used: "),
    "a storage without its driver": (
        [*RATE, "--storage", "mysql+nosuchdriver://user:secret@host/base"],
        "the storage mysql+nosuchdriver://user:***@host/base cannot be used: ",
    ),
}


@pytest.mark.skipif(find_spec("MySQLdb") is not None, reason="the driver is installed")
def test_a_driver_that_is_not_installed_is_named(data: Path, tmp_path: Path) -> None:
    result = call(data, tmp_path / "out", *RATE, "--storage", "mysql://user:secret@host/base")
    assert str(result.exception) == (
        "the storage mysql://user:***@host/base needs the driver `MySQLdb`; install it with pip"
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_the_first_trial(mistake: str, data: Path, tmp_path: Path) -> None:
    words, told = MISTAKES[mistake]
    result = call(data, tmp_path / "out", *words)
    assert isinstance(result.exception, RegistryError), result.exception
    assert told in str(result.exception)
    assert "secret" not in str(result.exception)
    assert not (tmp_path / "out" / "trials").exists()


def test_a_batch_that_no_fold_fills_is_refused(data: Path, tmp_path: Path) -> None:
    words = [word for word in TRAINING if word != "recipe.batch_size=4"]
    at = words.index("recipe.epochs=1") + 1
    del words[at]  # the `--set` of the batch size
    result = CliRunner().invoke(
        tune,
        [MODEL, "--data", f"{data}/", *words, "-o", str(tmp_path), "--search", "recipe.batch_size=int:4,9"],
    )
    assert isinstance(result.exception, RegistryError)
    assert "--search recipe.batch_size: 9 is refused: " in str(result.exception)
    assert "8 pictures" in str(result.exception)  # two thirds of 12


def test_nothing_to_search_is_used_wrongly(data: Path, tmp_path: Path) -> None:
    assert call(data, tmp_path / "out").exit_code == 2


def test_a_mistake_in_what_is_fixed_is_told_as_in_training(data: Path, tmp_path: Path) -> None:
    result = call(data, tmp_path / "out", *RATE, "--set", "recipe.epoch=3")
    assert isinstance(result.exception, SpecError)
    assert "did you mean `epochs`" in str(result.exception)


@pytest.mark.parametrize("package", ["optuna", "accelerate"])
def test_what_is_not_installed_is_named(
    data: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "registry_tuning.command_tune.find_spec", lambda name: None if name == package else find_spec(name)
    )
    result = call(data, tmp_path / "out", *RATE)
    assert isinstance(result.exception, MissingExtraError)
    assert f"`{package}`; install it with: pip install 'vision-registry[tune]'" in str(result.exception)


def test_many_processes_of_one_trial_are_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = call(data, tmp_path / "out", *RATE)
    assert isinstance(result.exception, RegistryError)
    assert "several times with one --storage instead of torchrun" in str(result.exception)


def test_a_real_search_and_another_one_in_its_study(data: Path, tmp_path: Path) -> None:
    words = ["--trials", "2", "--folds", "2", "--format", "json"]
    result = call(data, tmp_path / "out", *RATE, *words)
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert told["trials"] == {"complete": 2, "pruned": 0, "lost": 0}
    assert told["best"]["value"] == pytest.approx(sum(told["best"]["folds"]) / 2)
    spec: Any = registry.load_spec(told["document"])
    assert spec.recipe.rate == told["best"]["settings"]["recipe.rate"]
    for trial in (0, 1):
        for fold in (1, 2):
            folder = tmp_path / "out" / "trials" / f"{trial:05}" / f"fold-{fold}"
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            assert "top1" in lines[-1]["figures"]
            assert not [path for path in folder.iterdir() if path.suffix in (".safetensors", ".pt")]  # no weights
    others = {
        "recipe.rate was searched in log:0.0001,0.01, now in log:0.0001,0.1": (
            ["--search", "recipe.rate=log:1e-4,1e-1", *words]
        ),
        "head.dropout was searched in nothing, now in linear:0.0,0.5": (
            [*RATE, "--search", "head.dropout=linear:0,0.5", *words]
        ),
        "folds was 2, now 3": [*RATE, *words, "--folds", "3"],
        "recipe was": [*RATE, *words, "--set", "recipe.label_smoothing=0.2"],
    }
    for message, changed in others.items():
        refused = call(data, tmp_path / "out", *changed)
        assert isinstance(refused.exception, RegistryError)
        assert message in str(refused.exception)
        assert "or another --study" in str(refused.exception)
    assert call(data, tmp_path / "out", *RATE, *words).exception is None


def test_what_counts_is_the_averaged_model_where_the_recipe_averages(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch's own figures are noted by the run; the averaged model's are measured here anew from its file."""
    kept: list[float] = []
    real = Run.averaged_figures

    def noted(run: Run) -> dict[str, float]:
        found = real(run)
        folder = run._folder
        model = registry.build(folder / "averaged.safetensors")
        epochs = [load_file(path) for path in sorted(folder.glob("epoch-*.safetensors"))]
        assert [path.name for path in sorted(folder.glob("epoch-*"))] == [f"epoch-0000{n}.safetensors" for n in (2, 4)]
        mean = (epochs[0]["classifier.3.bias"] + epochs[1]["classifier.3.bias"]) / 2
        torch.testing.assert_close(model.state_dict()["classifier.3.bias"], mean)
        task: Any = registry.default_registry().task(model.spec)  # type: ignore[arg-type]
        right = 0
        model.eval()
        for index in range(len(run._validation)):  # type: ignore[arg-type]
            image, label = run._validation[index]  # type: ignore[index]
            with torch.inference_mode():
                right += int(model(task.collate([task.preprocess(image)])).argmax()) == label
        kept.append(right / len(run._validation))  # type: ignore[arg-type]
        assert found["top1"] == pytest.approx(kept[-1])
        return {"top1": kept[-1] + 10}  # as no model of an epoch has it

    monkeypatch.setattr(Run, "averaged_figures", noted)
    averaging = ["--set", "recipe.epochs=4", "--set", "recipe.validate_every=2", "--set", "recipe.averaging={count: 2}"]
    words = ["--trials", "1", "--folds", "2", "--format", "json"]
    result = call(data, tmp_path / "out", *RATE, *averaging, *words)
    assert result.exception is None, result.output
    assert json.loads(result.stdout)["best"]["folds"] == pytest.approx([value + 10 for value in kept])
    assert len(kept) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_two_processes_of_which_one_is_ended(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    words = [sys.executable, "-m", "registry.cli", "tune", MODEL, "--data", f"{data}/", *TRAINING, *RATE]
    words += ["--folds", "2", "--trials", "8", "--storage", storage]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": variables}
    jobs = [subprocess.Popen([*words, "-o", str(tmp_path / name)], **quiet) for name in ("a", "b")]  # type: ignore[call-overload]
    for _ in range(1200):
        if jobs[0].poll() is not None or list((tmp_path / "a" / "trials").glob("*/fold-1/metrics.jsonl")):
            break
        time.sleep(0.05)
    jobs[0].send_signal(number)
    assert jobs[0].wait(60) == (143 if number == signal.SIGTERM else -9)
    assert jobs[1].wait(240) == 0
    every = optuna.load_study(storage=storage, study_name=MODEL).get_trials()
    complete = [trial for trial in every if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(complete) == 8
    failed = [trial for trial in every if trial.state == TrialState.FAIL]
    assert len(failed) == 1
    assert failed[0].params in [trial.params for trial in complete]
    assert not [trial for trial in every if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
