"""A run in its folder: killed at any step and resumed it ends the same, and mistakes are told before the first step."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from registry_training.command_evaluate import evaluate
from registry_training.command_train import train
from registry_training.prepare import prepared
from registry_training.run import Run, Stopped
from registry_training.start import Wanted, made_run, ready_for
from registry_training.state import State
from registry_training.trainer import NotFiniteError, Step
from safetensors.torch import load_file

import registry
from registry.errors import RegistryError, RegistryWarning

pytestmark = pytest.mark.usefixtures("one_thread")
MODEL = "mobilenet_v3_digits"
SETTINGS = [
    "recipe.start=random",
    "recipe.epochs=2",
    "recipe.batch_size=6",
    "recipe.reference_batch=null",
    "recipe.rate=0.002",
    "recipe.warmup=null",
    "recipe.mixup_alpha=0.2",
    "recipe.ema={decay: 0.9, every: 1, adjust: false}",
]
UPDATES = 8  # two epochs of four


@pytest.fixture(scope="module")
def data(dark_and_bright: Callable[[int, int], Path]) -> Path:
    """24 pictures to train on, 10 to validate on."""
    return dark_and_bright(12, 5)


def wanted(data: Path, folder: Path, *more: str, resume: bool = False, save_every: int = 3) -> Wanted:
    assignments = [*SETTINGS, *more]
    name = "finetune_classification"
    return Wanted(MODEL, f"{data}/", name, assignments, None, None, folder, resume, "cpu", 0, save_every, None)


def run_of(asked: Wanted) -> Run:
    made = registry.default_registry()
    accelerator, ready = ready_for(made, asked)
    run = made_run(made, asked, accelerator, ready)
    if asked.resume:
        run.resume()
    return run


def tensors(folder: Path, name: str = "last.safetensors") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / name)
    return found


def differences(first: Path, second: Path) -> list[str]:
    """What of two runs' results is not equal bit for bit."""
    found = []
    for name in ("last.safetensors", "best.safetensors"):
        one, other = tensors(first, name), tensors(second, name)
        if list(one) != list(other):
            found.append(f"{name}: keys")
        found += [f"{name}: {key}" for key, value in one.items() if not torch.equal(value, other[key])]
    one_journal, other_journal = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (first, second))
    found += [f"{a} | {b}" for a, b in zip_longest(one_journal, other_journal) if a != b]
    return found


def same(first: Path, second: Path) -> bool:
    return not differences(first, second)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    outcome = run_of(wanted(data, folder)).train()
    assert outcome.updates == UPDATES
    return folder


class Killed(Exception):
    """Stands for a process that is no more."""


def killed_after(updates: int) -> Callable[[Any], None]:
    seen = iter(range(1, updates + 1))

    def told(event: Any) -> None:
        if isinstance(event, Step) and next(seen) == updates:
            raise Killed

    return told


@pytest.mark.parametrize("updates", [1, 3, 4, 5, 8])
def test_a_run_that_was_killed_and_resumed_ends_the_same(whole: Path, data: Path, tmp_path: Path, updates: int) -> None:
    with pytest.raises(Killed):
        run_of(wanted(data, tmp_path)).train(killed_after(updates))
    outcome = run_of(wanted(data, tmp_path, resume=True)).train()
    assert outcome.updates == UPDATES
    assert same(whole, tmp_path)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_that_is_killed_after_its_validation_ends_the_same(
    whole: Path, data: Path, tmp_path: Path, epoch: int
) -> None:
    # figures are in the journal by then, and the checkpoint knows nothing of them
    def told(event: Any) -> None:
        if not isinstance(event, Step) and event["epoch"] == epoch:
            raise Killed

    with pytest.raises(Killed):
        run_of(wanted(data, tmp_path, save_every=1)).train(told)
    run_of(wanted(data, tmp_path, resume=True)).train()
    assert same(whole, tmp_path)


def test_a_run_that_is_killed_again_and_again_ends_the_same(whole: Path, data: Path, tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(Killed):
            run_of(wanted(data, tmp_path, resume=True, save_every=1)).train(killed_after(2))
    run_of(wanted(data, tmp_path, resume=True)).train()
    assert same(whole, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_keeps_it(
    whole: Path, data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    def told(event: Any) -> None:
        if isinstance(event, Step) and event.step == 1:
            os.kill(os.getpid(), number)

    usual = signal.getsignal(number)
    with pytest.raises(Stopped):
        run_of(wanted(data, tmp_path, save_every=1000)).train(told)
    assert signal.getsignal(number) is usual
    assert State.read(tmp_path / "state.pt").position.updates == 2
    run_of(wanted(data, tmp_path, resume=True)).train()
    assert same(whole, tmp_path)


def test_the_number_of_workers_changes_nothing(whole: Path, data: Path, tmp_path: Path) -> None:
    asked = wanted(data, tmp_path)
    run_of(Wanted(*(2 if key == "workers" else value for key, value in vars(asked).items()))).train()
    assert same(whole, tmp_path)


def test_another_seed_changes_the_result(whole: Path, data: Path, tmp_path: Path) -> None:
    run_of(wanted(data, tmp_path, "recipe.seed=1")).train()
    assert not same(whole, tmp_path)


def test_accumulated_parts_are_the_same_step_up_to_rounding(data: Path, tmp_path: Path) -> None:
    more = ["backbone.norm={kind: frozen_batch, eps: 0.001}", "head.dropout=0", "recipe.mixup_alpha=0"]
    for parts in (1, 3):
        run_of(wanted(data, tmp_path / str(parts), *more, f"recipe.accumulation={parts}")).train()
    one, three = tensors(tmp_path / "1"), tensors(tmp_path / "3")
    assert max(float((one[key].float() - three[key].float()).abs().max()) for key in one) < 1e-4


def test_pictures_that_were_left_out_do_not_weigh(data: Path, tmp_path: Path) -> None:
    # a broken picture beside the five of a batch is as if the batch had five
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    (broken / "train" / "bright" / "9.png").write_bytes(b"no picture")
    more = ["recipe.batch_size=24", "recipe.bad_images=skip", "recipe.mixup_alpha=0", "recipe.epochs=1"]
    run = run_of(wanted(broken, tmp_path / "run", *more))
    seen: list[tuple[Any, int]] = []
    update = run._trainer._update
    run._trainer._update = lambda batch, images, *rest: (seen.append((batch, images)), update(batch, images, *rest))[1]  # type: ignore[method-assign]
    run.train()
    [(batch, images)] = seen
    assert (len(batch.names), images, len(batch.left_out)) == (23, 23, 1)
    assert "9.png" in batch.left_out[0]


def test_several_processes_leave_no_pictures_out(data: Path) -> None:
    more = [*SETTINGS, "recipe.bad_images=skip"]
    with pytest.raises(RegistryError, match=r"several processes cannot leave pictures out.*registry data check"):
        prepared(
            registry.default_registry(),
            MODEL,
            data=f"{data}/",
            recipe="finetune_classification",
            assignments=more,
            processes=2,
        )


def test_another_recipe_does_not_go_on_with_the_run(whole: Path, data: Path) -> None:
    told = "is that of another model, recipe or data set; give the same as before, or start anew in another folder"
    with pytest.raises(RegistryError, match=told):
        run_of(wanted(data, whole, "recipe.rate=0.003", resume=True))


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_pictures(data: Path, tmp_path: Path) -> None:
    run = run_of(wanted(data, tmp_path))
    with torch.no_grad():
        next(run._trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(NotFiniteError, match=r"classification is nan; lower recipe\.rate"):
        run.train()
    names = json.loads((tmp_path / "not_finite.json").read_text())
    assert len(names) == 6
    assert all(name.endswith(".png") for name in names)


def test_it_learns_to_tell_dark_from_bright(whole: Path, data: Path) -> None:
    entries = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [entry["update"] for entry in entries if "loss" in entry] == list(range(1, UPDATES + 1))
    result = CliRunner().invoke(
        evaluate, [str(whole / "best.safetensors"), "--data", f"{data}/", "--format", "json"], catch_exceptions=False
    )
    told = json.loads(result.stdout)
    assert told["pictures"] == 10
    best = max(entry["figures"]["top1"] for entry in entries if "figures" in entry)
    assert told["figures"]["top1"] == best


# ---- the verbs -------------------------------------------------------------------------------------------------------


def call(*words: object) -> Result:
    return CliRunner().invoke(train, [MODEL, *map(str, words)])


def options(data: Path, *more: object) -> list[object]:
    settings = [word for text in SETTINGS for word in ("--set", text)]
    return ["--data", f"{data}/", "--recipe", "finetune_classification", *settings, "--device", "cpu", *more]


def test_a_folder_that_holds_a_run_is_left_alone(whole: Path, data: Path) -> None:
    before = (whole / "state.pt").read_bytes()
    result = call(*options(data, "--output", whole))
    assert isinstance(result.exception, RegistryError)
    assert "holds a run already; go on with it by --resume" in str(result.exception)
    assert (whole / "state.pt").read_bytes() == before


def test_a_dry_run_tells_what_it_would_take_and_keeps_nothing(data: Path, tmp_path: Path) -> None:
    result = call(*options(data, "--output", tmp_path / "run", "--dry-run", "--format", "json"))
    told = json.loads(result.stdout)
    assert (told["pictures"], told["steps_an_epoch"], told["steps"]) == (24, 4, 8)
    assert told["seconds_a_step"] > 0
    assert not (tmp_path / "run").exists()


def test_a_run_draws_its_curves_and_measures_what_was_held_out(data: Path, tmp_path: Path) -> None:
    result = call(*options(data, "--output", tmp_path / "run", "--held-out", "0.25"))
    assert result.exception is None, result.output
    assert Image.open(tmp_path / "run" / "curves.png").size[0] > 400
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    told = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert told["pictures"] == 6  # of 24
    assert told["gap"]["top1"] == told["validation"]["top1"] - told["figures"]["top1"]
    assert "held out: top1 " in result.stderr
    seen = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in seen if "loss" in entry] == [0, 1, 2, 0, 1, 2]  # 18 pictures, six a batch
    other = call(*options(data, "--output", tmp_path / "run", "--resume"))
    assert "is that of another model, recipe or data set" in str(other.exception)


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no recipe": (["--data", "digits_classification"], "names no recipe; choose one with --recipe"),
    "an unknown recipe": (["--data", "digits_classification", "--recipe", "nothing"], "nothing"),
    "unknown data": (
        ["--data", "digits_clasification", "--recipe", "finetune_classification"],
        "digits_classification",
    ),
    "data of another task": (["--data", "digits_detection", "--recipe", "finetune_classification"], "detection"),
    "a batch that does not divide": (
        ["--data", "digits_classification", "--recipe", "finetune_classification"]
        + ["--set", "recipe.start=random", "--set", "recipe.accumulation=5"],
        "32 images do not divide into 5 passes; write batch_size: 30",
    ),
    "a folder of no known layout": (["--data", "{empty}/", "--recipe", "finetune_classification"], "{empty}"),
    "folders without pictures": (
        ["--data", "{half}/", "--recipe", "finetune_classification", "--set", "recipe.start=random"],
        "the layout of {half} is not recognised",
    ),
    "fewer pictures than a batch": (
        ["--data", "{data}/", "--recipe", "finetune_classification", "--set", "recipe.start=random"],
        "the 24 pictures to train on make no full batch of 32; set recipe.batch_size to 24 or less",
    ),
    "a batch of one under a map of one value": (
        ["--data", "digits_segmentation", "--recipe", "finetune_segmentation", "--set", "recipe.batch_size=1"]
        + ["--set", "recipe.start=random", "--model", "deeplabv3_mnv3_large"],
        "write a batch_size of 2 or more",
    ),
    "a rate that falls past the end": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--set", "recipe.schedule={kind: multi_step, epochs: [30]}"],
        "the rate falls at epoch 30 and the training has 20 epochs",
    ),
    "a folder that cannot be written": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--output", "/dev/null/run"],
        "the folder /dev/null/run cannot be written",
    ),
    "grey pictures for a model of colours": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--set", "task.preprocessing={mean: [0.5], std: [0.5]}", "--model", "mobilenet_v3_small"],
        "`mobilenet_v3_small` takes 3 input channels, its task's pre-processing yields 1; change the settings under",
    ),
    "a device that is not here": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--device", "mps"],
        "there is no device `mps` here; leave out --device to train on cpu",
    ),
    "simulated quantization": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--set", "recipe.quantization_aware={observer_epochs: 1, batch_norm_epochs: 1}"],
        "use `registry quantize --qat`",
    ),
    "a number of classes that is not the data's": (
        ["--data", "digits_classification", "--recipe", "finetune_classification", "--set", "recipe.start=random"]
        + ["--set", "head.num_classes=4", "--set", "task.categories=null"],
        "the head tells 4 classes apart, and the data set has 10",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_the_first_step(mistake: str, data: Path, tmp_path: Path) -> None:
    places = {"empty": tmp_path / "empty", "half": tmp_path / "half", "data": data}
    places["empty"].mkdir()
    shutil.copytree(data / "val", places["half"] / "val")
    for name in ("bright", "dark"):
        (places["half"] / "train" / name).mkdir(parents=True)
    words, told = MISTAKES[mistake]
    words = [word.format(**places) if "{" in word and word.endswith("/") else word for word in words]
    model = words.pop(words.index("--model") + 1) if "--model" in words else MODEL
    words = [word for word in words if word != "--model"]
    output = [] if "--output" in words else ["--output", str(tmp_path / "run")]
    result = CliRunner().invoke(train, [model, *words, *output])
    assert isinstance(result.exception, (RegistryError, RegistryWarning)), result.output
    assert told.format(**places) in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_random_weights_are_not_measured(data: Path) -> None:
    result = CliRunner().invoke(evaluate, [MODEL, "--data", f"{data}/"])
    assert isinstance(result.exception, RegistryError)
    assert "figures of random weights mean nothing" in str(result.exception)


def test_the_head_is_made_to_fit_the_data(data: Path) -> None:
    made = registry.default_registry()
    ready = prepared(made, MODEL, data=f"{data}/", recipe="finetune_classification", assignments=SETTINGS)
    assert ready.plan.model.head.num_classes == 2
    assert ready.plan.model.task.categories == ("bright", "dark")
    assert ready.notes == ("the head tells the data set's 2 classes apart",)


# ---- real processes --------------------------------------------------------------------------------------------------


def command(data: Path, folder: Path, *more: str) -> list[str]:
    words = [str(word) for word in options(data, "--output", folder, "--workers", "1", "--save-every", "1", *more)]
    return [sys.executable, "-m", "registry.cli", "train", MODEL, *words]


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(whole: Path, data: Path, tmp_path: Path) -> None:
    draw = random.Random(1)
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    long = ["--set", "recipe.epochs=12", "--set", "recipe.schedule={kind: constant}"]
    subprocess.run(command(data, tmp_path / "whole", *long), check=True, env=variables, capture_output=True)
    for kill in range(10):
        process = subprocess.Popen(
            command(data, tmp_path / "killed", "--resume", *long),
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        journal = tmp_path / "killed" / "metrics.jsonl"
        before = journal.stat().st_size if journal.exists() else 0
        for _ in range(600):  # until it trains, and then for a random while
            if process.poll() is not None or (journal.exists() and journal.stat().st_size > before):
                break
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert kill or (tmp_path / "killed").exists()
    subprocess.run(
        command(data, tmp_path / "killed", "--resume", *long), check=True, env=variables, capture_output=True
    )
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    assert list((tmp_path / "killed").glob(".*.tmp")) == []


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    # batch statistics are each process's own, so there are none here
    more = ["--set", "backbone.norm={kind: frozen_batch, eps: 0.001}", "--set", "head.dropout=0"]
    more += ["--set", "recipe.mixup_alpha=0"]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run(command(data, one, *more), check=True, env=variables, capture_output=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517", "-m"]
    subprocess.run([*torchrun, *command(data, two, *more)[2:]], check=True, env=variables, capture_output=True)
    first, second = tensors(one), tensors(two)
    assert max(float((first[key].float() - second[key].float()).abs().max()) for key in first) < 1e-4
    figures = [
        [
            json.loads(line)["figures"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
            if "figures" in line
        ]
        for folder in (one, two)
    ]
    assert figures[0] == figures[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_job_lets_it_finish_its_step(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    # as a terminal and job schedulers send it: to the processes that load pictures too
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    more = ["--set", "recipe.epochs=50", "--set", "recipe.schedule={kind: constant}"]
    job = subprocess.Popen(
        command(data, tmp_path / "run", *more),
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = tmp_path / "run" / "metrics.jsonl"
    while job.poll() is None and not (journal.exists() and journal.stat().st_size > 0):
        time.sleep(0.05)
    os.killpg(job.pid, number)
    told = job.communicate(timeout=60)[1]
    assert job.returncode == 143
    assert told.splitlines()[-1].startswith("stopped; go on with: registry train ")
    assert State.read(tmp_path / "run" / "state.pt").position.updates > 0


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_leaves_the_last_checkpoint(whole: Path, data: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX does")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}

    def full() -> None:  # a file that grows beyond this cannot be written, as on a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with pytest.raises(Killed):
        run_of(wanted(data, tmp_path / "run", save_every=1)).train(killed_after(3))
    kept = {
        path.name: path.read_bytes()
        for path in (tmp_path / "run").iterdir()
        if path.name.endswith((".pt", ".safetensors"))
    }
    assert len(kept["state.pt"]) > 100_000
    ended = subprocess.run(
        command(data, tmp_path / "run", "--resume"), env=variables, capture_output=True, text=True, preexec_fn=full
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("state.pt cannot be written: File too large; the one before is whole")
    assert "Traceback" not in ended.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name in kept} == kept
    subprocess.run(command(data, tmp_path / "run", "--resume"), check=True, env=variables, capture_output=True)
    assert differences(whole, tmp_path / "run") == []


def rank_of(launcher: int, rank: int) -> int:
    """The process of a rank among a launcher's children."""
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            told = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == launcher and f"RANK={rank}".encode() in told:
            return int(entry.name)
    raise AssertionError(f"{launcher} has no rank {rank}")


#: The same training by two processes, for long enough to be killed in.
TWO = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29518", "-m"]
LONGER = ["--set", "recipe.epochs=6", "--set", "recipe.schedule={kind: constant}"]


@pytest.fixture(scope="module")
def whole_of_two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes that nothing stopped."""
    folder = tmp_path_factory.mktemp("two")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*TWO, *command(data, folder, *LONGER)[2:]], check=True, env=variables, capture_output=True)
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds a rank by /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rank_that_is_killed_ends_the_job_and_it_can_go_on(
    whole_of_two: Path, data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [*TWO, *command(data, tmp_path / "killed", *LONGER)[2:]]
    job = subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "killed" / "metrics.jsonl"
    while job.poll() is None and not (journal.exists() and journal.stat().st_size > 0):
        time.sleep(0.05)
    os.kill(rank_of(job.pid, 1), number)
    told = job.communicate(timeout=120)[1]
    assert job.returncode != 0
    if number == signal.SIGKILL:
        assert "another process of the training is gone" in told
        assert "registry_training" not in told  # in no traceback
    else:  # all ranks stop after the same step
        assert told.count("stopped; go on with") == 1
    subprocess.run([*words, "--resume"], check=True, env=variables, capture_output=True)
    assert differences(whole_of_two, tmp_path / "killed") == []


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "160")
        yield
