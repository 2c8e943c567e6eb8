"""`registry data check`: what it finds, says and returns."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from registry_data.inspection import inspect

from registry.cli.group import cli
from registry.cli.group import main as run_main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def check(*words: object) -> Result:
    return CliRunner().invoke(cli, ["data", "check", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def flowers(tmp_path: Path, picture: Any) -> Path:
    for name in ("train/rose/1.png", "train/rose/2.png", "train/daisy/1.png", "val/rose/3.png", "val/daisy/3.png"):
        picture(tmp_path / name)
    return tmp_path


def test_all_is_well(flowers: Path) -> None:
    result = check(flowers)
    assert result.exit_code == 0
    assert result.output == (
        f"{flowers}: recognised as image_folder, by train/CLASS and val/CLASS\n"
        "  train: 3 pictures\n"
        "  validation: 2 pictures\n"
        "\n"
        "PICTURES OF CLASS  TRAIN  VALIDATION\n"
        "daisy                  1           1\n"
        "rose                   2           1\n"
        "\n"
        "no problems\n"
    )


def test_broken_pictures_duplicates_and_empty_classes(flowers: Path) -> None:
    broken = flowers / "train" / "rose" / "2.png"
    broken.write_bytes(b"not a picture")
    shutil.copy(flowers / "train" / "rose" / "1.png", flowers / "val" / "rose" / "3.png")
    (flowers / "val" / "daisy" / "3.png").unlink()
    result = check(flowers)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[-5:] == [
        f"error: train: rose/2.png: cannot read image '{broken}': its content is no image that Pillow reads; convert it to "
        "JPEG or PNG, or name another [broken]",
        "error: validation: rose/3.png: it is pixel for pixel `rose/1.png` of the split `train` [duplicate]",
        "warning: validation: a class does not occur: daisy [class]",
        "",
        "2 errors, 1 warning",
    ]


def test_the_same_pixels_in_another_format_are_a_duplicate(flowers: Path) -> None:
    with Image.open(flowers / "train" / "rose" / "1.png") as image:
        image.save(flowers / "val" / "daisy" / "copy.bmp")
    assert "daisy/copy.bmp: it is pixel for pixel `rose/1.png`" in check(flowers).output


def test_json_has_everything(flowers: Path) -> None:
    (flowers / "val" / "daisy" / "3.png").unlink()
    result = check(flowers, "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "dataset": str(flowers),
        "type": "image_folder",
        "task": "classification",
        "recognised": "image_folder, by train/CLASS and val/CLASS",
        "splits": {"train": {"pictures": 3, "left_out": 0}, "validation": {"pictures": 1, "left_out": 0}},
        "classes": [
            {"name": "daisy", "train": 1, "validation": 0},
            {"name": "rose", "train": 2, "validation": 1},
        ],
        "problems": [
            {
                "kind": "class",
                "severity": "warning",
                "split": "validation",
                "image": None,
                "message": "a class does not occur: daisy",
                "suggestion": None,
            }
        ],
        "errors": 0,
        "warnings": 1,
    }
    assert check(flowers, "--strict").exit_code == 1


def test_boxes(coco: Any) -> None:
    boxes = [(1, [-5, 1, 9, 5]), (1, [4, 4, 0, 4]), (1, [40, 1, 4, 4]), (1, [19.5, 1, 1, 4]), (2, [1, 1, 5, 5])]
    root = coco([{"image_id": i, "category_id": 7, "bbox": b} for i, b in boxes])
    files = "{annotations: boxes.json, images: pictures}"
    result = check(
        "coco_detection", "--set", f"root={root}", "--set", f"train={files}", "--set", "validation_fraction=0.3"
    )
    text = result.output
    assert result.exit_code == 0
    found = re.findall(r"^warning: \w+: 1\.png: the box \[(.*?)\] \(corners\) (.*) \[box\]$", text, flags=re.MULTILINE)
    assert found == [
        ("-5, 1, 4, 6", "leaves the picture of 20x10 pixels, and is clipped"),
        ("4, 4, 4, 8", "has no area, and is dropped"),
        ("40, 1, 44, 5", "lies outside of 20x10 pixels, and is dropped"),
    ]  # the fourth leaves it by half a pixel, as COCO's own do


def test_images_without_objects_are_counted(coco: Any) -> None:
    root = coco([{"image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5]}])
    files = "{annotations: boxes.json, images: pictures}"
    settings = [f"root={root}", f"train={files}", f"validation={files}"]
    result = check("coco_detection", *(word for setting in settings for word in ("--set", setting)))
    assert "  train: 1 pictures, and 2 that hold nothing to train on are left out\n" in result.output
    assert "cup                   1           1\n" in result.output
    assert "plate                 0           0\n" in result.output


def test_masks(tmp_path: Path, picture: Any, mask: Any) -> None:
    for name in ("train", "val"):
        picture(tmp_path / name / "images" / "1.png", (4, 3))
        picture(tmp_path / name / "images" / "2.png", (4, 3))
        mask(tmp_path / name / "masks" / "1.png", [[0, 1, 1, 255]] * 3)
        mask(tmp_path / name / "masks" / "2.png", [[0, 1, 2, 9]] * 3 if name == "train" else [[0, 2]] * 3)
    result = check(tmp_path, "--set", "categories=[paper, ink, stamp]")
    assert result.exit_code == 1
    assert "holds the ids 9; classes are 0 to 2, and 255 does not count [label]\n" in result.output
    assert "is 2x3 pixels, and its picture 4x3; make them one size [size]\n" in result.output
    assert re.search(r"^ink +1 +1$", result.output, flags=re.MULTILINE)
    assert "2 errors, 2 warnings\n" in result.output  # and stamp occurs in neither split


def test_a_model_that_does_not_fit_is_told_before_anything_is_read() -> None:
    result = check("coco2017_detection", "--set", "root=/nowhere", "--model", "mobilenet_v3_small")
    assert result.exit_code == 1
    assert (
        "error: the model's task is `classification`, and `coco_detection` is for `detection` [REG421]\n"
        in result.output
    )


def test_real_photographs(shared_data: Path) -> None:
    result = check(shared_data / "coco_permissive", "--task", "detection", "--model", "fasterrcnn_mnv3_large_fpn",
                   "--set", "labels=ids", "--format", "json")  # fmt: skip
    data = json.loads(result.output)
    assert result.exit_code == 0
    splits = data["splits"]
    assert splits["validation"]["pictures"] == 16  # a fifth of 82
    assert splits["train"]["pictures"] + splits["train"]["left_out"] == 66
    assert len(data["classes"]) == 81  # COCO's 80 and the background
    assert {problem["kind"] for problem in data["problems"]} == {"class"}


def test_data_sets_of_others_are_looked_at_by_their_items() -> None:
    class Others:
        """No more than the contract: a length, and items."""

        categories = ("a", "b")

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            if index == 2:
                raise ZeroDivisionError("division by zero")
            return Image.new("RGB", (3, 3), (index, 0, 0)), index * 5

    report = inspect({"train": Others()})
    told = [(problem.image, problem.fault.kind, problem.fault.message) for problem in report.problems]
    assert told == [
        ("picture 1", "label", "it has the labels 5; classes are 0 to 1"),
        ("picture 2", "broken", "ZeroDivisionError: division by zero"),
        (None, "class", "a class does not occur: b"),
    ]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nothing_like_it"], 2, "error: unknown dataset `nothing_like_it`"),
        (["image_folder"], 1, "error: the data set `image_folder` does not say where its data are"),
        (["digits_detection", "--set", "side=3"], 1, "must be at least 32, got 3"),
        ([], 2, "Missing argument 'DATASET'"),
        (["digits_detection", "--format", "xml"], 2, "Invalid value for '--format'"),
        (["digits_detection", "--task", "segmentation"], 1, "is for the task `detection`, not `segmentation`"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["registry", "data", "check", *words])
    with pytest.raises(SystemExit) as caught:
        run_main()
    assert caught.value.code == code
    shown = capsys.readouterr()
    assert told in shown.err
    assert "Traceback" not in shown.err
