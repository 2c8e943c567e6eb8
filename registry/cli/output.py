"""What verbs print: tables for people, JSON for machines."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

T = TypeVar("T")

#: How Python holds bytes of a file name that are not UTF-8; no encoding takes them.
_UNDECODED: Final = re.compile("[\ud800-\udfff]")


def echo_json(data: Any) -> None:
    """Plain data as indented JSON; strings are shown as `printable` shows them."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    click.echo(_UNDECODED.sub(lambda found: json.dumps(printable(found[0]))[1:-1], text))


def printable(text: str) -> str:
    """A text with bytes of file names that are not UTF-8 as `\\xe9`, since they cannot be printed."""

    def shown(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return _UNDECODED.sub(shown, text)


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str], right: Sequence[int] = ()) -> str:
    """Rows under a header, columns aligned; the last one is cut to the terminal's width.

    Args:
        right: indices of columns that are flushed right, such as numbers.
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    room = shutil.get_terminal_size((120, 24)).columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        cells[-1] = _cut(cells[-1].rstrip(), max(room, 20))
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def count(value: float | None) -> str:
    """A large number as people say it: `5.48 M`, `217 M`, `2.09 G`; `-` for None."""
    if value is None:
        return "-"
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            scaled = value / factor
            return f"{scaled:.{max(0, 2 - int(math.log10(scaled)))}f} {unit}"
    return f"{value:g}"


def short(path: str) -> str:
    """A path as seen from the working folder where it lies inside; a plugin's file as seen from its package."""
    here = os.getcwd()
    if path.startswith(here + os.sep):
        return os.path.relpath(path, here)
    parts = Path(path).parts
    for marker in ("site-packages", "dist-packages"):
        if marker in parts:
            return str(Path(*parts[parts.index(marker) + 1 :]))
    return path


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."


def progress(items: Iterable[T], label: str, *, total: int, shown: bool = True) -> Iterator[T]:
    """The items, with a progress bar on the error output where a person watches it.

    Args:
        total: how many there are.
        shown: False where no bar is wanted, such as where results come in between.
    """
    if total < 2 or not shown or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    # results must reach the output, not the bar's console
    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True) as bar:
        yield from bar.track(items, total=total, description=label)


@contextmanager
def status(label: str, *, shown: bool = True) -> Iterator[None]:
    """A sign of life on the error output, where a person watches it, until the block is left."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(printable(label))):
        yield
