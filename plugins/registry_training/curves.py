"""Curves of a run: loss, rate and figures of validation over updates, as a picture."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from registry.errors import MissingExtraError, RegistryError
from registry.files import write_atomically
from registry_training.state import Journal

#: Figures of validation that are drawn, the first ones; more cannot be told apart.
_FIGURES = 6
#: The share that each update has in the smoothed loss of a long run; of a short run of N updates it is this many Nths.
_SHARE, _OF_WHOLE = 0.02, 30


def curves_missing() -> str | None:
    """What to install before curves can be drawn; None where nothing is missing."""
    if find_spec("matplotlib") is not None:
        return None
    return "no curves.png without matplotlib; install it with: pip install 'vision-registry[plot]'"


def draw_curves(journal: Path, out: Path) -> None:
    """Draws `metrics.jsonl` as a PNG, whole or not at all.

    Args:
        journal: lines with `update` and either `loss` and `rate`, or `figures` (name to number).

    Raises:
        RegistryError: the journal holds no line; the picture cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    if curves_missing() is not None:
        raise MissingExtraError("drawing curves", "plot", "matplotlib")
    entries = Journal(journal).entries()
    steps = [entry for entry in entries if "loss" in entry]
    measured = [entry for entry in entries if "figures" in entry]
    if not entries:
        raise RegistryError(f"{journal} holds no line to draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 9 if measured else 6), layout="constrained")
    panels = figure.subplots(3 if measured else 2, 1, sharex=True)
    _loss(panels[0], steps)
    updates = [entry["update"] for entry in steps]
    panels[1].plot(updates, [entry["rate"] for entry in steps], color="tab:green")
    panels[1].set_ylabel("rate")
    if measured:
        _figures(panels[2], measured)
    for panel in panels:
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("updates")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    try:
        write_atomically(out, data.getvalue())
    except OSError as error:
        raise RegistryError(f"{out} cannot be written: {error.strerror or error}") from error


def smoothed(values: list[float], share: float) -> list[float]:
    """A running mean of which each value takes a share, and which knows the first value only from then on.

    It is the exponential mean divided by the sum of its weights, so that a constant stays that constant.
    """
    found, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = (1 - share) * mean + share * value, (1 - share) * weight + share
        found.append(mean / weight)
    return found


def _loss(panel: Any, steps: list[dict[str, Any]]) -> None:
    updates, losses = [entry["update"] for entry in steps], [entry["loss"] for entry in steps]
    panel.plot(updates, losses, color="tab:blue", alpha=0.35, linewidth=0.8, label="each update")
    share = max(_SHARE, _OF_WHOLE / max(len(losses), 1))
    panel.plot(updates, smoothed(losses, min(share, 1.0)), color="tab:blue", label="smoothed")
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        panel.set_yscale("log")
    panel.set_ylabel("loss")
    if losses:
        panel.legend()


def _figures(panel: Any, measured: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for entry in measured for name in entry["figures"] if "/" not in name))
    for name in names[:_FIGURES]:
        # a run whose truth holds nothing of that kind has -1 there, which is no point of a curve
        points = [(entry["update"], entry["figures"][name]) for entry in measured if name in entry["figures"]]
        points = [(update, value) for update, value in points if value != -1]
        if points:
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    panel.set_ylabel("validation")
    if panel.get_legend_handles_labels()[0]:
        panel.legend(loc="best", fontsize="small")
