"""TensorBoard reads every point of a run once, however often the run was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from registry_training.board import Board, board_missing

from registry.errors import MissingExtraError, RegistryError

reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def step(update: int, loss: float) -> dict[str, Any]:
    return {
        "update": update,
        "epoch": 0,
        "step": update - 1,
        "loss": loss,
        "losses": {"a": loss, "b": 0.0},
        "rate": 0.5,
    }


def validation(update: int, value: float) -> dict[str, Any]:
    return {"update": update, "epoch": 1, "figures": {"top1": value}}


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds."""
    found = reading.EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_updates_and_validations_become_points(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    for entry in (step(1, 4.0), step(2, 2.0), validation(2, 0.25)):
        board.add(entry)
    board.close()
    assert points(tmp_path / "board") == {
        "train/loss": [(1, 4.0), (2, 2.0)],
        "train/loss/a": [(1, 4.0), (2, 2.0)],
        "train/loss/b": [(1, 0.0), (2, 0.0)],
        "train/rate": [(1, 0.5), (2, 0.5)],
        "validation/top1": [(2, 0.25)],
    }


def test_what_was_written_after_the_last_checkpoint_is_there_once(tmp_path: Path) -> None:
    entries = [step(1, 4.0), step(2, 2.0), validation(2, 0.25), step(3, 1.0)]
    first = Board(tmp_path)
    for entry in entries:
        first.add(entry)
    first.flush()  # killed here; the journal is rewound to the checkpoint of update 2, before its validation
    kept = entries[:2]
    second = Board(tmp_path, kept)
    for entry in (validation(2, 0.5), step(3, 1.5)):
        second.add(entry)
    second.close()
    found = points(tmp_path)
    assert found["train/loss"] == [(1, 4.0), (2, 2.0), (3, 1.5)]
    assert found["validation/top1"] == [(2, 0.5)]


def test_a_run_that_starts_anew_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    first = Board(tmp_path)
    first.add(step(1, 4.0))
    first.close()
    second = Board(tmp_path)
    second.add(step(1, 3.0))
    second.close()
    assert points(tmp_path)["train/loss"] == [(1, 3.0)]


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot be written"):
        Board(tmp_path / "file" / "board")
    assert board_missing() is None
    monkeypatch.setattr("registry_training.board.find_spec", lambda name: None)
    assert "pip install 'vision-registry[train]'" in str(board_missing())
    with pytest.raises(MissingExtraError, match=r"vision-registry\[train\]"):
        Board(tmp_path / "board")
