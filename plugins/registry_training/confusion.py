"""What was taken for what: as a text, a table of commas, or a picture."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path

from registry.cli import output
from registry.errors import MissingExtraError, RegistryError
from registry.files import write_atomically
from registry.tasks import Confusion

#: With more classes, the matrix is not shown in a terminal, and the cells of the picture hold no numbers.
_SHOWN = 12
_NUMBERED = 25
#: With more classes, the picture names none of them.
_NAMED = 60


def check_confusion(path: Path) -> None:
    """Tells before the work whether a matrix can be written there.

    Raises:
        RegistryError: neither `.png` nor `.csv`; no such folder.
        MissingExtraError: a picture needs matplotlib.
    """
    if path.suffix not in (".png", ".csv"):
        raise RegistryError(f"{path}: a confusion matrix is written as .png or .csv")
    if not path.parent.is_dir():
        raise RegistryError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.suffix == ".png" and find_spec("matplotlib") is None:
        raise MissingExtraError("a picture of the confusion matrix", "plot", "matplotlib")


def write_confusion(path: Path, confusion: Confusion | None) -> None:
    """Writes a matrix as `.csv` or `.png`, whole or not at all.

    Raises:
        RegistryError: the results tell no classes apart; the file cannot be written.
    """
    if confusion is None:
        raise RegistryError("the results of this task have no confusion matrix; leave out --confusion")
    data = _as_csv(confusion).encode() if path.suffix == ".csv" else _as_png(confusion)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error


def as_text(confusion: Confusion, pairs: int = 10) -> str:
    """The matrix where the classes are few, and the most frequent mistakes."""
    parts = []
    if 1 < len(confusion.labels) <= _SHOWN:
        rows = [[name, *map(str, counts)] for name, counts in zip(confusion.labels, confusion.counts, strict=True)]
        header = ["TRUTH", *(name[:10] for name in confusion.labels)]
        parts.append(output.table(rows, header=header, right=range(1, len(header))))
    mistakes = [[truth, found, str(count)] for truth, found, count in confusion.pairs(pairs)]
    if mistakes:
        parts.append(output.table(mistakes, header=["TRUTH", "TAKEN FOR", "TIMES"], right=[2]))
    return "\n\n".join(parts)


def _as_csv(confusion: Confusion) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["truth", *confusion.labels])
    writer.writerows([name, *counts] for name, counts in zip(confusion.labels, confusion.counts, strict=True))
    return text.getvalue()


def _as_png(confusion: Confusion) -> bytes:
    from matplotlib.figure import Figure

    count = len(confusion.labels)
    shares = [[value / max(sum(row), 1) for value in row] for row in confusion.counts]
    side = min(max(4.5, 0.45 * count + 2), 20)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the class")
    axes.set_xlabel("found")
    axes.set_ylabel("truth")
    if count <= _NAMED:
        axes.set_xticks(range(count), confusion.labels, rotation=90 if max(map(len, confusion.labels)) > 3 else 0)
        axes.set_yticks(range(count), confusion.labels)
    for row, counts in enumerate(confusion.counts if count <= _NUMBERED else ()):
        for column, value in enumerate(counts):
            if value:
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(value), ha="center", va="center", color=colour, fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
