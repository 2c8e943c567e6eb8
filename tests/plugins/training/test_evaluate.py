"""`registry evaluate`: figures, what was taken for what, worst pictures, and processes that share the pictures."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from registry_detection.drawing import draw_boxes
from registry_training.command_evaluate import evaluate
from registry_training.confusion import as_text, write_confusion
from registry_training.evaluation import Share

import registry
from registry.errors import RegistryError
from registry.tasks import Confusion

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("bright", "dark")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven pictures of noise in two classes, as an image folder."""
    root = tmp_path_factory.mktemp("data")
    draw = random.Random(0)
    for split in ("train", "val"):
        for name, count, level in ((NAMES[0], 6, 170), (NAMES[1], 5, 40)):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = bytes(level + draw.randrange(60) for _ in range(32 * 32))
                Image.frombytes("L", (32, 32), pixels).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a model that calls every picture bright."""
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    overrides = {"head.num_classes": 2, "task.categories": list(NAMES)}
    module = registry.build("mobilenet_v3_digits", overrides=overrides)
    last = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([1.0, 0.0])
    registry.default_registry().save(module, path)
    return path


def call(model: Path, data: Path, *words: object) -> Result:
    return CliRunner().invoke(evaluate, [str(model), "--data", f"{data}/", *map(str, words)])


def test_figures_classes_and_confusion_follow_from_the_results(model: Path, data: Path, tmp_path: Path) -> None:
    result = call(model, data, "--format", "json", "--results", tmp_path / "r.json", "--confusion", tmp_path / "c.csv")
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    answers = json.loads((tmp_path / "r.json").read_text())
    assert [one["top"][0]["label"] for one in answers] == ["bright"] * 11
    counts = [[6, 0], [5, 0]]
    assert told["figures"] == {"top1": pytest.approx(6 / 11)}
    assert told["confusion"] == {"labels": list(NAMES), "counts": counts}
    assert told["classes"] == {
        "bright": {"recall": 1.0, "precision": pytest.approx(6 / 11), "images": 6},
        "dark": {"recall": 0.0, "images": 5},
    }
    with open(tmp_path / "c.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["truth", *NAMES], *([name, *map(str, row)] for name, row in zip(NAMES, counts, strict=True))]


def test_pictures_are_whole_and_the_worst_come_first(model: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = call(model, data, "--worst", tmp_path / "worst", "--confusion", tmp_path / "c.png", "--format", "json")
    told: dict[str, Any] = json.loads(result.stdout)
    with Image.open(tmp_path / "c.png") as picture:
        picture.load()
    assert len(told["worst"]) == len(list((tmp_path / "worst").iterdir())) == 8  # and no file that was being written
    for path in told["worst"]:
        with Image.open(path) as picture:
            picture.load()
    levels = []
    for path in told["worst"]:  # the picture itself stands above its classes, at the left
        with Image.open(path) as picture:
            levels.append(picture.convert("L").getpixel((4, 4)))
    assert [level < 120 for level in levels] == [True] * 5 + [
        False
    ] * 3  # dark pictures, of which each is wrong, and then others


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of noise with a box in each, as a folder in COCO's format."""
    root = tmp_path_factory.mktemp("boxes")
    draw = random.Random(0)
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / f"{split}2017").mkdir()
        held: dict[str, Any] = {"images": [], "annotations": []}
        held["categories"] = [{"id": index + 1, "name": str(index)} for index in range(10)]
        for index in (1, 2):
            name = f"{index}.png"
            pixels = bytes(draw.randrange(256) for _ in range(96 * 96 * 3))
            Image.frombytes("RGB", (96, 96), pixels).save(root / f"{split}2017" / name)
            held["images"].append({"id": index, "file_name": name, "width": 96, "height": 96})
            box = {"bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
            held["annotations"].append({"id": index, "image_id": index, "category_id": 3, **box})
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(held))
    return root


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with random weights: eleven classes, of which each has a score near an eleventh."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    return registry.save(registry.build("fasterrcnn_digits"), path)


def test_the_worst_are_drawn_with_the_answers_that_the_model_shows(detector: Path, boxes: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {}
    drawn: dict[str, int] = {}
    for name, words in {"own": (), "all": ("--score", "0"), "some": ("--score", "0.2")}.items():
        result = call(detector, boxes, "--worst", tmp_path / name, "--format", "json", *words)
        assert result.exception is None, result.output
        told[name] = json.loads(result.stdout)
        drawn[name] = 0
        for path in map(Path, told[name]["worst"]):
            with Image.open(path) as picture, Image.open(boxes / "val2017" / f"{path.stem[-1]}.png") as plain:
                drawn[name] += picture.convert("RGB").tobytes() != draw_boxes(plain, []).tobytes()
    assert len(told["own"]["worst"]) == 2
    assert drawn == {
        "own": 0,
        "some": 0,
        "all": 2,
    }  # scores are near an eleventh, and the model shows those from a half on
    assert told["own"]["figures"] == told["all"]["figures"]


def test_a_score_is_for_pictures_of_answers_that_have_one(model: Path, data: Path, tmp_path: Path) -> None:
    alone = call(model, data, "--score", "0.5")
    assert alone.exit_code == 2
    assert "`--score` says what `--worst` draws" in alone.output
    result = call(model, data, "--score", "0.5", "--worst", tmp_path / "worst")
    assert str(result.exception) == "answers of the task `classification` have no score; leave out --score"


def test_people_are_shown_tables(model: Path, data: Path) -> None:
    text = call(model, data).stdout
    for part in ("FIGURE", "top1", "CLASS", "RECALL", "IMAGES", "TRUTH", "TAKEN FOR", "bright", "dark"):
        assert part in text


def test_many_classes_are_told_by_their_mistakes_alone() -> None:
    few = as_text(Confusion(("a", "b"), ((3, 1), (0, 2))))
    assert few.splitlines()[1].split() == ["a", "3", "1"]
    count = 40
    counts = tuple(tuple(5 if r == c else 2 if (r, c) == (7, 9) else 0 for c in range(count)) for r in range(count))
    many = as_text(Confusion(tuple(f"n{i}" for i in range(count)), counts))
    assert [line.split() for line in many.splitlines()] == [["TRUTH", "TAKEN", "FOR", "TIMES"], ["n7", "n9", "2"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--confusion", "c.gif"], r"c\.gif: a confusion matrix is written as \.png or \.csv"),
        (["--confusion", "no/such/c.csv"], "there is no folder no/such"),
        (["--backend", "faster"], "figures are not computed by `faster`: it has no choice of backends"),
    ],
)
def test_mistakes_are_told_before_the_work(
    model: Path, data: Path, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry_training.evaluation.measured", lambda *_, **__: pytest.fail("it began"))
    result = call(model, data, *words)
    assert isinstance(result.exception, RegistryError), result.output
    with pytest.raises(RegistryError, match=told):
        raise result.exception


def test_results_that_tell_no_classes_apart_have_no_matrix(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="have no confusion matrix; leave out --confusion"):
        write_confusion(tmp_path / "c.csv", None)


@pytest.mark.parametrize(("count", "processes"), [(11, 2), (11, 3), (2, 4), (0, 2)])
def test_each_picture_is_that_of_one_process(count: int, processes: int) -> None:
    shares = [list(Share(rank, processes).of(count)) for rank in range(processes)]
    assert sorted(index for share in shares for index in share) == list(range(count))


@pytest.mark.slow
def test_two_processes_measure_as_one_and_one_of_them_speaks(model: Path, data: Path, tmp_path: Path) -> None:
    words = ["registry.cli", "evaluate", str(model), "--data", f"{data}/", "--format", "json", "--device", "cpu"]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = []
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29531", "-m"]
    for name, launcher in (("one", []), ("two", torchrun)):  # 11 pictures: the second process has one less
        command = [sys.executable, "-m", *launcher, *words, "--results", str(tmp_path / name)]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        told.append(json.loads(ended.stdout))
    assert told[0] == told[1]
    results = [json.loads((tmp_path / name).read_text()) for name in ("one", "two")]
    assert [one["picture"] for one in results[0]] == [one["picture"] for one in results[1]]
    assert len(results[1]) == 11


REPLACED: dict[str, tuple[list[str], str]] = {
    "the model by results": (
        ["m.onnx", "--data", "p.yaml", "--results", "./m.onnx"],
        "`--results m.onnx` is the model",
    ),
    "the model by a matrix": (["m.csv.yaml", "--data", "p.yaml", "--confusion", "to-model.csv"], "is the model"),
    "the weights of an artefact": (
        ["m.xml", "--data", "p.yaml", "--results", "m.bin"],
        "`--results m.bin` is the model",
    ),
    "a checkpoint by another name": (["m.safetensors", "--data", "p.yaml", "--results", "hard"], "is the model"),
    "the data": (["m.onnx", "--data", "p.yaml", "--results", "d/../p.yaml"], "is the data set's document"),
    "a plugin's data": (
        ["m.onnx", "--data", "digits_classification", "--results", "{digits}"],
        "is the data set's document",
    ),
    "the weights": (
        ["mobilenet_v3_digits", "--weights", "./w.pth", "--data", "p.yaml", "--results", "w.pth"],
        "`--results w.pth` is the file of weights",
    ),
    "results by a matrix": (
        ["m.onnx", "--data", "p.yaml", "--results", "a.csv", "--confusion", "./a.csv"],
        "`--results` and `--confusion` name the same file",
    ),
}


@pytest.mark.parametrize("case", REPLACED)
def test_what_is_read_is_not_replaced(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    for name in ("m.onnx", "m.xml", "m.bin", "m.csv.yaml", "m.safetensors", "p.yaml", "w.pth"):
        (tmp_path / name).write_text("as it was")
    os.symlink("m.csv.yaml", "to-model.csv")
    os.link("m.safetensors", "hard")
    digits = registry.default_registry().library.open("digits_classification", "dataset").file
    words, told = REPLACED[case]
    result = CliRunner().invoke(evaluate, [word.format(digits=digits) for word in words])
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    kept = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(kept) == 9
    assert {path.read_text() for path in kept} == {"as it was"}


def test_annotations_of_a_data_set_are_not_replaced(detector: Path, boxes: Path) -> None:
    file = boxes / "annotations" / "instances_val2017.json"
    before = file.read_bytes()
    result = call(detector, boxes, "--results", file)
    assert result.exit_code == 2, result.output
    assert "is a file of the data set, and would be replaced; name another file" in result.stderr
    assert file.read_bytes() == before


def test_a_file_that_nothing_reads_is_replaced(model: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("of before")
    result = call(model, data, "--results", tmp_path / "r.json", "--limit", "2")
    assert result.exception is None, result.output
    assert len(json.loads((tmp_path / "r.json").read_text())) == 2
