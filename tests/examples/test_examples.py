"""The example distributions, installed as their users install them: found, valid, built, trained, and their own tests pass."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from example_data import rectangles, walls

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
#: What an example needs beside this distribution.
NEEDS = {"registry-timm": "timm"}
#: A model of each that is small.
SMALL = {
    "registry-centernet": "centernet_mnv3_small",
    "registry-depth": "depth_mnv3_small",
    "registry-timm": "lraspp_mobilenetv4_conv_small",
}
RunAlone = Callable[..., str]


def missing(example: Path) -> str | None:
    """Why an example cannot be tried here, or None."""
    package = NEEDS.get(example.name)
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"needs the package `{package}`: pip install {package}"


@pytest.fixture(scope="module")
def python(environment_with: Callable[..., Path]) -> Path:
    """Python of an environment in which every example is installed."""
    return environment_with(*EXAMPLES, editable=True)


@pytest.fixture(scope="module")
def plugins(python: Path, run_alone: RunAlone) -> dict[str, dict[str, object]]:
    """What `registry plugins` tells of each distribution."""
    found = json.loads(run_alone(python, "-m", "registry.cli", "plugins", "--format", "json", cwd=ROOT))
    return {plugin["distribution"]: plugin for plugin in found}


def test_every_example_has_a_small_model_to_try() -> None:
    assert {example.name for example in EXAMPLES} == set(SMALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_is_found_and_nothing_is_wrong_with_it(example: Path, plugins: dict[str, dict[str, object]]) -> None:
    plugin = plugins[example.name]
    assert (plugin["state"], plugin["problems"]) == ("loaded", [])
    assert f"model {SMALL[example.name]}" in plugin["documents"]  # type: ignore[operator]


def test_every_document_is_valid_to_the_letter(python: Path, run_alone: RunAlone) -> None:
    folders = [catalog for example in EXAMPLES for catalog in example.glob("*/catalog")]
    assert len(folders) == len(EXAMPLES)
    shown = run_alone(python, "-m", "registry.cli", "validate", "--strict", *folders, cwd=ROOT)
    assert shown.endswith("files: no problems\n")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_model_is_built_and_run(example: Path, python: Path, run_alone: RunAlone) -> None:
    why = missing(example)
    if why is not None:
        pytest.skip(why)
    run_alone(python, "-m", "registry.cli", "build", SMALL[example.name], "--check", cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_own_tests_pass(
    example: Path, python: Path, run_alone: RunAlone, capsys: pytest.CaptureFixture[str]
) -> None:
    why = missing(example)
    if why is not None:
        pytest.skip(why)
    data = os.environ.get("REGISTRY_TEST_DATA")
    variables = {} if data is None else {"REGISTRY_TEST_DATA": data}
    command = [python, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-m", ""]
    shown = run_alone(*command, cwd=example, OMP_NUM_THREADS="1", **variables)
    with capsys.disabled():
        told = [line for line in shown.splitlines() if line.startswith("SKIPPED") or " passed" in line]
        print(f"\n{example.name}:", *told, sep="\n  ")
    assert " passed" in shown


#: A short training of any task: six pictures, two in a batch.
RECIPE = """kind: recipe
name: short
summary: A few steps on a few small pictures
type: training
start: random
optimizer: {kind: adamw}
schedule: {kind: constant}
rate: 1e-3
epochs: 16
batch_size: 2
augmentation: null
"""
UPDATES = 16 * 3


#: Settings that make a model small.
SETTINGS = {
    "centernet_mnv3_small": [
        "head.image.min_size=64",
        "head.image.max_size=64",
        "head.neck.channels=16",
        "head.branch_channels=16",
    ],
    "depth_mnv3_small": ["task.preprocessing.resize=64", "head.channels=16"],
}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(
    ("model", "written", "headline"),
    [("centernet_mnv3_small", rectangles, "ap"), ("depth_mnv3_small", walls, "abs_rel")],
    ids=["a new head", "a new task"],
)
def test_it_is_trained_stopped_resumed_and_evaluated_by_the_commands(
    python: Path,
    run_alone: RunAlone,
    tmp_path: Path,
    model: str,
    written: Callable[[Path], str],
    headline: str,
) -> None:
    data, settings = written(tmp_path / "data"), SETTINGS[model]
    (tmp_path / "short.yaml").write_text(RECIPE)
    words = [python, "-m", "registry.cli", "train", model, "--data", data, "--recipe", tmp_path / "short.yaml"]
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--device", "cpu", "--workers", "0", "--output", tmp_path / "run"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "REGISTRY"))}
    journal = tmp_path / "run" / "metrics.jsonl"
    with open(tmp_path / "told", "wb") as told:
        job = subprocess.Popen(list(map(str, words)), env={**clean, "OMP_NUM_THREADS": "1"}, stderr=told, stdout=told)
        while job.poll() is None and not (journal.exists() and journal.read_text()):
            time.sleep(0.02)
        job.send_signal(signal.SIGTERM)
        assert job.wait(120) == 143, (tmp_path / "told").read_text()
    before = [json.loads(line) for line in journal.read_text().splitlines()]
    assert 0 < before[-1]["update"] < UPDATES
    run_alone(*words, "--resume", cwd=tmp_path, OMP_NUM_THREADS="1")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["update"] for line in lines if "loss" in line] == list(range(1, UPDATES + 1))
    measured = [line["figures"] for line in lines if "figures" in line]
    assert len(measured) == 16
    best = (min if headline == "abs_rel" else max)(figures[headline] for figures in measured)
    command = [python, "-m", "registry.cli", "evaluate", tmp_path / "run" / "best.safetensors", "--data", data]
    shown = run_alone(*command, "--format", "json", "--worst", tmp_path / "worst", cwd=tmp_path, OMP_NUM_THREADS="1")
    told_of = json.loads(shown)
    assert told_of["pictures"] == len(told_of["worst"]) == 3
    assert told_of["figures"][headline] == pytest.approx(best, abs=1e-6)
