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
from typing import Any

import pytest
from PIL import Image

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


def rectangles(folder: Path) -> tuple[str, list[str]]:
    """Pictures of a rectangle each, red or blue, as a folder in COCO's format."""
    (folder / "annotations").mkdir(parents=True)
    for split, count in (("train", 6), ("val", 3)):
        (folder / f"{split}2017").mkdir()
        held: dict[str, Any] = {"images": [], "annotations": []}
        held["categories"] = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
        for index in range(1, count + 1):
            picture = Image.new("RGB", (64, 64), (30, 30, 30))
            picture.paste((255, 0, 0) if index % 2 else (0, 0, 255), (8, 8, 40, 40))
            picture.save(folder / f"{split}2017" / f"{index}.png")
            held["images"].append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 64})
            box = {"bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0, "category_id": 2 - index % 2}
            held["annotations"].append({"id": index, "image_id": index, **box})
        (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(held))
    small = {"head.image.min_size": 64, "head.image.max_size": 64, "head.neck.channels": 16, "head.branch_channels": 16}
    return f"{folder}/", [f"{key}={value}" for key, value in small.items()]


def walls(folder: Path) -> tuple[str, list[str]]:
    """Pictures of a grey, the lighter the nearer, with a depth that grows from left to right."""
    for split, count in (("train", 6), ("validation", 3)):
        for name in ("images", "depth"):
            (folder / split / name).mkdir(parents=True)
        for index in range(count):
            depth = Image.new("I;16", (64, 64))
            depth.putdata([500 + 300 * index + 20 * (place % 64) for place in range(64 * 64)])  # millimetres
            depth.save(folder / split / "depth" / f"{index}.png")
            Image.new("RGB", (64, 64), (200 - 30 * index,) * 3).save(folder / split / "images" / f"{index}.jpg")
    document = folder / "walls.yaml"
    document.write_text(f"kind: dataset\nname: walls\nsummary: walls\ntype: depth_pairs\nfolder: {folder}\n")
    return str(document), ["task.preprocessing.resize=64", "head.channels=16"]


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
    written: Callable[[Path], tuple[str, list[str]]],
    headline: str,
) -> None:
    data, settings = written(tmp_path / "data")
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


def checkpoint(python: Path, run_alone: RunAlone, folder: Path, model: str, settings: list[str]) -> Path:
    """A model of random weights, kept as a trained one is."""
    script = (
        "import sys, torch, registry; torch.manual_seed(0); "
        "model = registry.build(sys.argv[1], overrides=sys.argv[3:]).eval(); "
        "registry.default_registry().save(model, sys.argv[2])"
    )
    path = folder / "model.safetensors"
    run_alone(python, "-c", script, model, path, *settings, cwd=folder, OMP_NUM_THREADS="1")
    return path


@pytest.mark.slow
def test_a_new_task_is_exported_quantized_and_measured_as_files(
    python: Path, run_alone: RunAlone, tmp_path: Path
) -> None:
    pytest.importorskip("executorch")
    data, settings = walls(tmp_path / "data")
    own = [text for text in settings if not text.startswith("recipe.")]
    model = checkpoint(python, run_alone, tmp_path, "depth_mnv3_small", own)
    cli = [python, "-m", "registry.cli"]
    run_alone(*cli, "export", model, "--target", "onnx", "-o", "model.onnx", cwd=tmp_path, OMP_NUM_THREADS="1")
    words = ["--data", data, "-o", "model.pte", "--set", "quantization.least_signal=null", "--format", "json"]
    shown = run_alone(*cli, "quantize", model, *words, cwd=tmp_path, OMP_NUM_THREADS="1")
    told = json.loads(shown)
    assert told["float_layers"] == []
    for name, file in (("float", model), ("float", "model.onnx"), ("ptq", "model.pte")):
        found = run_alone(*cli, "evaluate", file, "--data", data, "--format", "json", cwd=tmp_path, OMP_NUM_THREADS="1")
        for key, value in json.loads(found)["figures"].items():
            assert value == pytest.approx(told["figures"][name][key], abs=5e-3)
