"""The verbs on artefacts: export, predict, evaluate; and the predictor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import registry
from registry.cli.group import cli


@dataclass
class Done:
    """A verb that ran: what it printed, and with it, as `main` does, the error that ended it."""

    exit_code: int
    stdout: str
    output: str


def run(*words: object) -> Done:
    done = CliRunner().invoke(cli, [str(word) for word in words])
    if isinstance(done.exception, registry.RegistryError):
        return Done(1, done.stdout, f"{done.output}error: {done.exception}")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.output)


@pytest.fixture(scope="module")
def checkpoint(classifier: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return registry.save(classifier, tmp_path_factory.mktemp("checkpoint") / "small.safetensors")


@pytest.fixture(scope="module")
def program(checkpoint: Path, photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artefact") / "small.pt2"
    images = [word for photo in photos for word in ("--image", photo)]
    done = run("export", checkpoint, "--target", "torch-export", "-o", path, *images, "--format", "json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["file"], told["bytes"]) == (str(path), path.stat().st_size)
    assert (told["target"], told["dynamic"], told["shape"]) == ("torch-export", ["batch"], [2, 3, 64, 64])
    assert told["verification"]["images"] == 2 + 3  # each photograph, and a batch of three
    assert told["verification"]["agreement"] == 1
    assert told["verification"]["relative_difference"] < 1e-4
    assert list(path.parent.iterdir()) == [path]
    return path


def answers(model: Path, photos: list[Path], *more: object) -> list[dict[str, Any]]:
    done = run("predict", model, *photos, "--format", "json", *more)
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return found


def test_an_artefact_predicts_what_its_checkpoint_predicts(checkpoint: Path, program: Path, photos: list[Path]) -> None:
    one, other = answers(checkpoint, photos), answers(program, photos)
    for first, second in zip(one, other, strict=True):
        assert [(top["index"], top["label"]) for top in first["top"]] == [
            (top["index"], top["label"]) for top in second["top"]
        ]
        scores = [[top["score"] for top in each["top"]] for each in (first, second)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert {top["label"] for top in second["top"]} == {"ant", "bee", "cat", "dog", "elk"}


def test_settings_of_the_task_hold_for_an_artefact_too(program: Path, photos: list[Path]) -> None:
    assert [len(result["top"]) for result in answers(program, photos, "--top", 2)] == [2, 2]
    assert [len(result["top"]) for result in answers(program, photos, "--set", "task.top_k=1")] == [1, 1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--weights", "default"), "is an artefact, which has its weights and settings; leave out `weights`"),
        (("--num-classes", 3), "leave out `num_classes`"),
        (("--device", "cuda"), "leave out `device`"),
        (("--set", "head.dropout=0.5"), "whose backbone and head are fixed"),
        (("--size", 96), "takes images of 64x64 pixels alone"),
    ],
)
def test_what_an_artefact_cannot_follow_is_refused(
    program: Path, photos: list[Path], more: tuple[object, ...], message: str
) -> None:
    done = run("predict", program, *photos, *more)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output


def test_the_predictor_takes_an_artefact(program: Path, photos: list[Path], checkpoint: Path) -> None:
    artefact, model = registry.Predictor(program), registry.Predictor(checkpoint)
    for one, other in zip(artefact(photos, batch=2), model(photos, batch=2), strict=True):
        assert [entry.label for entry in one.top] == [entry.label for entry in other.top]
    with pytest.raises(registry.RegistryError, match="leave out `weights`"):
        registry.Predictor(program, weights="default")


def test_an_artefact_is_evaluated_as_its_checkpoint(checkpoint: Path, program: Path, tmp_path: Path) -> None:
    from models import photo

    names = ("ant", "bee", "cat", "dog", "elk")
    for split in ("train", "val"):
        for number, name in enumerate(names):
            (tmp_path / split / name).mkdir(parents=True)
            for copy in range(2):
                photo(10 * number + copy, 80, 90).save(tmp_path / split / name / f"{copy}.png")
    figures = []
    for model in (checkpoint, program):
        done = run("evaluate", model, "--data", tmp_path, "--format", "json", "--batch", 4)
        assert done.exit_code == 0, done.output
        figures.append(json.loads(done.stdout)["figures"])
    assert figures[0] == pytest.approx(figures[1], abs=1e-6)


def test_the_text_report_names_the_numbers(checkpoint: Path, tmp_path: Path, photos: list[Path]) -> None:
    done = run("export", checkpoint, "--target", "torch-export", "-o", tmp_path / "a.pt2", "--image", photos[0])
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()[:2]
    assert first == f"{tmp_path / 'a.pt2'}: {(tmp_path / 'a.pt2').stat().st_size / 1e6:.2f} MB"
    assert second.startswith("verified on 4 images: largest difference ")
    assert second.endswith("100.00% of answers agree")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mobilenet_v3_small", "--target", "torch-export", "-o", "{}/a.pt2"), "without weights the answers of"),
        (("mobilenet_v3_small", "--target", "onyx", "-o", "{}/a.onnx"), "did you mean `onnx`"),
        (("mobilenet_v3_small", "--target", "onnx", "-o", "{}/a.pt2"), "files of the target `onnx` end in .onnx"),
        (
            ("mobilenet_v3_small", "--target", "onnx", "-o", "{}/a.onnx", "--set", "export.opset=3"),
            "must be at least 16, got 3",
        ),
        (
            (
                "mobilenet_v3_small",
                "--target",
                "onnx",
                "-o",
                "{}/a.onnx",
                "--set",
                "export.dynamic=[width]",
                "--dry-run",
            ),
            "[REG462]",
        ),
        (("mobilenet_v3_small", "--target", "onnx", "-o", "{}/a.onnx", "--device", "cuda"), "exported on the CPU"),
        (("{}/none.pt2", "--target", "torch-export", "-o", "{}/a.pt2"), "there is no file"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = run("export", *(word.replace("{}", str(tmp_path)) for word in words))
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_builds_nothing(tmp_path: Path) -> None:
    done = run("export", "mobilenet_v3_small", "--target", "executorch", "-o", tmp_path / "a.pte", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "fits\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_random_weights_are_exported_where_they_are_asked_for(tmp_path: Path, photos: list[Path]) -> None:
    words = ("--set", "task.preprocessing.crop=64", "--set", "task.preprocessing.resize=72", "--image", photos[0])
    model = ("mobilenet_v3_small", "--target", "torch-export", "--random-weights", "-o", tmp_path / "a.pt2")
    done = run("export", *model, *words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.pt2").is_file()
