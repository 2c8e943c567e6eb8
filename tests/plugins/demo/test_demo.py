"""The demonstration: real digits, honestly split, and a model that reads the held-out ones."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import registry_demo.digits
from click.testing import CliRunner
from PIL import Image
from registry_demo.command import demo
from registry_demo.figure import draw_digits
from registry_demo.scenes import make_scenes

import registry


def test_every_digit_is_in_one_split_and_both_hold_all_classes() -> None:
    training, held_out = registry_demo.digits.load_splits(0)
    assert (len(training), len(held_out)) == (1347, 450)  # of 1,797
    counts = [Counter(split.labels.tolist()) for split in (training, held_out)]
    for digit in range(10):
        share = counts[1][digit] / (counts[0][digit] + counts[1][digit])
        assert share == pytest.approx(0.25, abs=0.01)
    assert (training.pictures.min(), training.pictures.max()) == (0, 255)


def test_the_sheet_shows_each_digit_with_its_reading() -> None:
    sheet = draw_digits([Image.new("L", (8, 8), 200)] * 3, ["1", "2", "3"], ["1", "2", "4"], "title")
    assert sheet.getpixel((20, 60)) == (200, 200, 200)
    colours = {colour for _, colour in sheet.getcolors(1 << 24) or []}
    assert (46, 125, 50) in colours  # green for what was right
    assert (198, 40, 40) in colours  # red for what was wrong


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = CliRunner().invoke(demo, ["--output", str(tmp_path / "file" / "out")])
    assert isinstance(result.exception, registry.RegistryError)
    assert str(result.exception) == f"the folder {tmp_path / 'file' / 'out'} cannot be made: Not a directory"


def test_the_splits_share_no_digit_and_scenes_are_written_with_their_own_split() -> None:
    training, held_out = registry_demo.digits.load_splits(0)
    everything = [picture.numpy().tobytes() for split in (training, held_out) for picture in split.pictures]
    assert len(everything) == 1797  # as many as scikit-learn ships, each in one split
    scenes = make_scenes(held_out, 5, held_out=True, seed=3)
    again = make_scenes(held_out, 5, held_out=True, seed=3)
    for scene, same in zip(scenes, again, strict=True):
        assert scene.picture.size == (128, 128)
        assert scene.picture.tobytes() == same.picture.tobytes()
        assert scene.boxes.shape == (len(scene.labels), 4)
        assert 1 <= len(scene.labels) <= 4
        assert scene.labels.min() >= 1
        assert scene.labels.max() <= 10
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 128


@pytest.mark.slow
def test_the_demonstration_reads_held_out_digits(tmp_path: Path) -> None:
    made = os.environ.get("REGISTRY_TEST_DEMO")  # what a demonstration that ran before has left
    if made is None:
        result = CliRunner().invoke(demo, ["--output", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0
    else:
        tmp_path = Path(made)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["digits_top1"] >= 0.97
    assert report["boxes_ap50_from_checkpoint"] >= 0.85
    assert registry.load_spec(tmp_path / "boxes.safetensors").name == "fasterrcnn_digits"
    assert Image.open(tmp_path / "boxes.png").size == (3 * 410 + 10, 52 + 3 * 410)
    assert report["digits_top1_from_checkpoint"] == report["digits_top1"]
    assert Image.open(tmp_path / "digits.png").size == (8 * 98 + 10, 52 + 6 * 124 + 10)
    assert registry.load_spec(tmp_path / "digits.safetensors").name == "mobilenet_v3_digits"
