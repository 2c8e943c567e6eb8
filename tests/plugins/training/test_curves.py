"""Curves of a run: a whole picture or none, and a running mean by arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from registry_training.curves import curves_missing, draw_curves, smoothed

from registry.errors import MissingExtraError, RegistryError


def journal(folder: Path, validated: bool = True) -> Path:
    lines = []
    for update in range(1, 41):
        lines.append({"update": update, "epoch": 0, "step": update - 1, "loss": 3 / update, "losses": {}, "rate": 0.1})
        if validated and update % 10 == 0:
            lines.append(
                {"update": update, "epoch": update // 10, "figures": {"top1": update / 50, "iou/x": 0.1, "q": -1}}
            )
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"update": 41, "lo')
    return path


@pytest.mark.parametrize(("validated", "panels"), [(True, 3), (False, 2)])
def test_a_run_is_drawn_in_panels_and_nothing_else_is_left(tmp_path: Path, validated: bool, panels: int) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "curves.png"
    draw_curves(journal(tmp_path, validated), out)
    with Image.open(out) as picture:
        assert picture.size == (960, panels * 360)
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]


def test_what_cannot_be_drawn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(RegistryError, match="holds no line to draw"):
        draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    with pytest.raises(RegistryError, match=r"curves\.png cannot be written"):
        draw_curves(journal(tmp_path), tmp_path / "nowhere" / "curves.png")
    assert curves_missing() is None
    monkeypatch.setattr("registry_training.curves.find_spec", lambda name: None)
    assert "pip install 'vision-registry[plot]'" in str(curves_missing())
    with pytest.raises(MissingExtraError, match=r"vision-registry\[plot\]"):
        draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")


def test_the_running_mean_weighs_by_age_and_keeps_constants() -> None:
    assert smoothed([5.0, 5.0, 5.0], 0.1) == pytest.approx([5, 5, 5])
    # weights 0.5 and 0.25 of the newest and the one before, divided by their sum
    assert smoothed([1.0, 4.0], 0.5) == pytest.approx([1, (0.25 * 1 + 0.5 * 4) / 0.75])
