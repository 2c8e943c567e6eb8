"""A chart of accuracy, or of multiply-adds, against the time of a run."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from registry.errors import MissingExtraError, RegistryError
from registry.files import write_atomically

_MEASURED, _PUBLISHED = "#1f77b4", "#ff7f0e"
#: Points whose heights differ by less than this share of the chart have their names on different sides.
_NEAR = 0.06


@dataclass(frozen=True)
class Point:
    """A subject in a chart: its name, median and quartiles in seconds, and the height it stands at.

    Attributes:
        measured: False where the height was published and not measured.
    """

    label: str
    seconds: float
    low: float
    high: float
    height: float
    measured: bool = True


@dataclass(frozen=True)
class Panel:
    """One chart: what stands on its axes, and its points."""

    title: str
    quantity: str
    points: tuple[Point, ...]


def check_plot(path: Path) -> None:
    """Tells before the work whether a chart can be written there.

    Raises:
        RegistryError: it is no `.png`; there is no such folder.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() != ".png":
        raise RegistryError(f"{path}: a chart is written as .png")
    if not path.parent.is_dir():
        raise RegistryError(f"{path} cannot be written: there is no folder {path.parent}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a chart", "plot", "matplotlib")


def panel_of(rows: Sequence[dict[str, Any]], title: str = "") -> Panel:
    """Accuracy where every row has one of the same metric, measured or published; else multiply-adds, in millions."""
    heights: list[tuple[str, float, bool] | None] = [_accuracy(row) for row in rows]
    names = {found[0] for found in heights if found is not None}
    if len(names) == 1 and None not in heights:
        quantity = names.pop()
        made = [(row, found[1], found[2]) for row, found in zip(rows, heights, strict=True) if found is not None]
    else:
        quantity = "multiply-adds, millions"
        made = [(row, row["macs"] / 1e6, True) for row in rows if row["macs"]]
    points = tuple(_point(row, height, measured) for row, height, measured in made)
    return Panel(title, quantity, points)


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Writes the charts side by side as a PNG, whole or not at all.

    Raises:
        RegistryError: there is nothing to draw, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_plot(path)
    shown = [panel for panel in panels if panel.points]
    if not shown:
        raise RegistryError("there is nothing to draw: no subject has accuracy or multiply-adds")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, shown, strict=False):
        _draw(axis, panel)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    try:
        write_atomically(path, data.getvalue())
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error


def _accuracy(row: dict[str, Any]) -> tuple[str, float, bool] | None:
    if row["accuracy"] is not None and row["accuracy"]["value"] is not None:
        return row["accuracy"]["metric"], float(row["accuracy"]["value"]), True
    for name, value in row["published"].items():
        return f"published {name}", float(value), False
    return None


def _point(row: dict[str, Any], height: float, measured: bool) -> Point:
    seconds = row["seconds"]
    return Point(row["label"], seconds["median"], seconds["low"], seconds["high"], height, measured)


def _draw(axis: Any, panel: Panel) -> None:
    times, heights = ([getattr(point, name) for point in panel.points] for name in ("seconds", "height"))
    middle, near = math.sqrt(min(times) * max(times)), _NEAR * (max(heights) - min(heights))
    for point in panel.points:
        x, left, right = (1000 * value for value in (point.seconds, point.low, point.high))
        color = _MEASURED if point.measured else _PUBLISHED
        bars = [[max(x - left, 0)], [max(right - x, 0)]]
        axis.errorbar([x], [point.height], xerr=bars, fmt="o", color=color, capsize=2)
        # names stand inside the frame, and below a point that another one lies close above
        slow = point.seconds > middle
        below = any(0 < height - point.height < near for height in heights)
        axis.annotate(
            point.label,
            (x, point.height),
            xytext=(-6 if slow else 6, -6 if below else 6),
            textcoords="offset points",
            ha="right" if slow else "left",
            va="top" if below else "bottom",
            fontsize="small",
        )
    if max(times) > 3 * min(times):
        from matplotlib.ticker import LogLocator, NullFormatter

        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")  # and not powers of ten
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(x=0.2, y=0.15)
    axis.set(xlabel="milliseconds", ylabel=panel.quantity, title=panel.title)
    axis.grid(alpha=0.3)
