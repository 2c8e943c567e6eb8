"""The demonstration: real digits, honestly split, and a model that reads the held-out ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import registry_demo.digits
from click.testing import CliRunner
from PIL import Image
from registry_demo.command import demo
from registry_demo.figure import draw_digits

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


@pytest.mark.slow
def test_the_demonstration_reads_held_out_digits(tmp_path: Path) -> None:
    result = CliRunner().invoke(demo, ["--output", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["digits_top1"] >= 0.95
    assert report["digits_top1_from_checkpoint"] == report["digits_top1"]
    assert Image.open(tmp_path / "digits.png").size == (8 * 98 + 10, 52 + 6 * 124 + 10)
    assert registry.load_spec(tmp_path / "digits.safetensors").name == "mobilenet_v3_digits"
