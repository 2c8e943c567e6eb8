"""Figures of a run for TensorBoard: the lines of its journal as points, none of them twice."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from registry.errors import MissingExtraError, RegistryError


def board_missing() -> str | None:
    """What to install before TensorBoard's files can be written; None where nothing is missing."""
    if find_spec("tensorboard") is not None:
        return None
    return "nothing for TensorBoard without tensorboard; install it with: pip install 'vision-registry[train]'"


class Board:
    """Writes entries of a journal as TensorBoard's points.

    A run that goes on gives the entries that its journal kept. TensorBoard then drops, by `purge_step`, every point at or after
    the last of their updates, and the points of that update are written again: what a killed run wrote after its last
    checkpoint is gone.

    Args:
        folder: where the event files are kept; made if it is not there.
        kept: entries that the journal holds at the start.

    Raises:
        MissingExtraError: tensorboard is not installed.
        RegistryError: the folder cannot be written.
    """

    def __init__(self, folder: Path, kept: Sequence[dict[str, Any]] = ()) -> None:
        if board_missing() is not None:
            raise MissingExtraError("writing for TensorBoard", "train", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        last = kept[-1]["update"] if kept else 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer: Any = SummaryWriter(str(folder), purge_step=last)
        except OSError as error:
            raise RegistryError(f"{folder} cannot be written: {error.strerror or error}") from error
        for entry in kept:
            if entry["update"] == last:
                self.add(entry)

    def add(self, entry: dict[str, Any]) -> None:
        """An update (`loss`, `losses`, `rate`) or a validation (`figures`), as the journal holds it."""
        update = entry["update"]
        if "loss" in entry:
            points = {"train/loss": entry["loss"], "train/rate": entry["rate"]}
            losses = entry.get("losses", {})
            if len(losses) > 1:
                points.update({f"train/loss/{name}": value for name, value in losses.items()})
        else:
            points = {f"validation/{name}": value for name, value in entry["figures"].items()}
        for name, value in points.items():
            self._writer.add_scalar(name, value, update)

    def flush(self) -> None:
        """Writes what waits, as a checkpoint does."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what waits and closes the file."""
        self._writer.close()
