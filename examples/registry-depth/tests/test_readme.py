"""What the README shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

import registry
from registry_depth.specs import DepthDecoderSpec, DepthSpec

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_training_loop_runs_and_its_checkpoint_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "depth"):
        (tmp_path / "rooms" / "train" / kind).mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (80, 60), (90, 60, 80 * index)).save(f"rooms/train/images/{index}.jpg")
        Image.fromarray(numpy.full((60, 80), 900 + 300 * index, numpy.uint16)).save(f"rooms/train/depth/{index}.png")
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)
    figures = eval(capsys.readouterr().out)
    assert list(figures) == ["abs_rel", "rmse", "delta1", "delta2", "delta3"]
    assert registry.load_spec("trained.safetensors").task.type == "depth"


def test_the_document_is_right() -> None:
    (text,) = blocks("yaml")
    assert registry.default_registry().library.validate_text(text.encode(), "hall.yaml") == ()


def test_the_tables_have_the_defaults() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| `?([^|`]+?)`? \| ", README, flags=re.MULTILINE))
    task, head = DepthSpec(), DepthDecoderSpec()
    expected = {"variance_focus": task.variance_focus, "png_scale": task.png_scale}
    expected |= {"stride": head.stride, "channels": head.channels}
    assert {name: float(rows[name]) for name in expected} == expected
    assert rows["norm"] == head.norm.kind
    assert README.count("| `min_depth`, `max_depth` | 0.1, 10 |") == 2
    assert (task.min_depth, task.max_depth, head.min_depth, head.max_depth) == (0.1, 10, 0.1, 10)
