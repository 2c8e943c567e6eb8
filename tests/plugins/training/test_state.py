"""What a run keeps: whole or absent, without code, and rewound to its last checkpoint."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_training import state as module
from registry_training.state import Journal, Position, State, folder_is_usable, remove_remains

from registry.errors import RegistryError


def made(updates: int = 7) -> State:
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return State(
        "digest",
        Position(1, 2, updates),
        model.state_dict(),
        optimizer.state_dict(),
        None,
        {"updates": 3, "module": model.state_dict()},
        [(1, 0.5)],
        4,
    )


def test_a_state_that_is_read_is_the_one_that_was_written(tmp_path: Path) -> None:
    before = made()
    before.write(tmp_path / "state.pt")
    after = State.read(tmp_path / "state.pt")
    assert (after.digest, after.position, after.left_out, after.scaler) == ("digest", Position(1, 2, 7), 4, None)
    assert [tuple(entry) for entry in after.best] == [(1, 0.5)]
    assert all(torch.equal(value, after.model[key]) for key, value in before.model.items())
    momentum = before.optimizer["state"][0]["momentum_buffer"]
    assert torch.equal(after.optimizer["state"][0]["momentum_buffer"], momentum)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    made(7).write(path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(RegistryError, match="No space left on device; the one before is whole"):
        made(8).write(path)
    assert State.read(path).position.updates == 7


@pytest.mark.parametrize("keep", [0, 1, 100, 1000])
def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "state.pt"
    made().write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RegistryError, match=r"state\.pt cannot be read"):
        State.read(path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('code ran')",)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"format": 1, "model": Evil()}, path)
    with pytest.raises(RegistryError, match="cannot be read"):
        State.read(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RegistryError, match="cannot be read"):
        State.read(path)


def test_no_checkpoint_and_one_of_another_release_are_told(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(RegistryError, match="there is no checkpoint"):
        State.read(path)
    torch.save({"format": 99}, path)
    with pytest.raises(RegistryError, match="is of format 99, and this release reads 2"):
        State.read(path)


def test_a_journal_goes_back_to_a_line_and_forgets_half_a_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.rewind(5)
    assert journal.entries() == []
    for update in range(1, 6):
        journal.add(update=update, loss=1 / update)
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"update": 6, "lo')
    assert [entry["update"] for entry in journal.entries()] == [1, 2, 3, 4, 5]
    journal.rewind(3)
    assert journal.lines == 3
    journal.add(update=4, loss=9)
    assert journal.lines == 4
    assert [(entry["update"], entry["loss"]) for entry in journal.entries()] == [(1, 1), (2, 0.5), (3, 1 / 3), (4, 9)]


def test_remains_of_a_killed_writer_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".state.pt.12ab34cd.tmp", "state.pt", ".hidden", "notes.tmp"):
        (tmp_path / name).touch()
    remove_remains(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "notes.tmp", "state.pt"]


def test_a_folder_is_made_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    folder_is_usable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"cannot be written: .*; choose another folder$"):
        folder_is_usable(tmp_path / "file")
