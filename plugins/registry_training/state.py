"""What a run needs to go on as if it had never stopped, in one file that is whole or absent."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from registry.errors import RegistryError
from registry.files import write_atomically

#: Changes whenever older files cannot be read any more.
FORMAT = 2


@dataclass
class Position:
    """Where a run is: before step `step` of epoch `epoch`, after `updates` updates of the parameters."""

    epoch: int = 0
    step: int = 0
    updates: int = 0


@dataclass
class State:
    """A run at one moment.

    Attributes:
        digest: of the model's, recipe's and data set's specs: a run goes on only with the same.
        best: headline figures so far that were the best at their time, with their epochs, the best last.
        left_out: pictures that could not be read so far.
        lines: of the journal that were written by then.
    """

    digest: str
    position: Position
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any] | None = None
    ema: dict[str, Any] | None = None
    best: list[tuple[int, float]] = field(default_factory=list)
    left_out: int = 0
    lines: int = 0

    def write(self, path: Path) -> None:
        """Writes the file; the one before stays until this one is whole.

        Raises:
            RegistryError: it cannot be written; the one before is as it was.
        """
        data = {**vars(self), "position": asdict(self.position), "format": FORMAT}
        buffer = io.BytesIO()
        torch.save(data, buffer)
        try:
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            kept = "; the one before is whole" if path.exists() else ""
            raise RegistryError(f"the checkpoint {path} cannot be written: {error.strerror or error}{kept}") from error

    @classmethod
    def read(cls, path: Path) -> State:
        """Reads the file, which can hold no code.

        Raises:
            RegistryError: it is not there, damaged, or of another release.
        """
        try:
            data = torch.load(path, map_location="cpu", weights_only=True)
            version = data.pop("format")
            if version != FORMAT:
                raise RegistryError(f"the checkpoint {path} is of format {version}, and this release reads {FORMAT}")
            return cls(**{**data, "position": Position(**data["position"])})
        except RegistryError:
            raise
        except FileNotFoundError:
            raise RegistryError(f"there is no checkpoint {path} to go on from") from None
        except Exception as error:  # torch, zip and pickle have errors of many types for a damaged file
            text = str(error).partition("\n")[0]
            raise RegistryError(f"the checkpoint {path} cannot be read: {type(error).__name__}: {text}") from error


class Journal:
    """Figures of a run as JSON lines; what a run wrote after its last checkpoint is taken back when it goes on.

    Attributes:
        lines: how many there are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines = 0

    def rewind(self, lines: int) -> None:
        """Keeps the first lines, and no half-written one."""
        kept = self.entries()[:lines]
        self.lines = len(kept)
        if self._path.exists():
            write_atomically(self._path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())

    def add(self, **entry: Any) -> None:
        """Adds a line."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.lines += 1

    def entries(self) -> list[dict[str, Any]]:
        """Every whole line."""
        found = []
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue  # cut by a kill
        return found


def remove_remains(folder: Path) -> None:
    """Removes what a killed process left of a file that it was writing."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def folder_is_usable(folder: Path) -> None:
    """Makes a folder and proves that it can be written.

    Raises:
        RegistryError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.probe.tmp"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise RegistryError(
            f"the folder {folder} cannot be written: {error.strerror or error}; choose another folder"
        ) from error
