"""A picture of a search: how the best figure rose, and what each setting did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from registry.errors import MissingExtraError
from registry_tuning.fields import Field
from registry_tuning.search import Found

_DONE, _PRUNED, _BEST = "#1f77b4", "#9a9a9a", "#d62728"


def plot(found: Found, fields: tuple[Field, ...], path: Path) -> Path:
    """Writes the picture; pruned trials stand at the last figure that they had.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot of the search", "plot", "matplotlib") from error
    trials = found.study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    columns = min(3, len(fields) + 1)
    rows = -(-(len(fields) + 1) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    _history(axes[0], found, ended, pruned)
    for axis, field in zip(axes[1:], fields, strict=False):
        _field(axis, field, found, ended, pruned)
    for axis in axes[len(fields) + 1 :]:
        axis.set_visible(False)
    figure.suptitle(f"{found.study.study_name}: {len(ended)} trials to the end, {len(pruned)} pruned")
    figure.savefig(path, dpi=120)
    return path


def _history(axis: Any, found: Found, ended: list[FrozenTrial], pruned: list[FrozenTrial]) -> None:
    better = max if found.study.direction.name == "MAXIMIZE" else min
    numbers, values = [t.number for t in ended], [_figure(t) for t in ended]
    best = [better(values[: index + 1]) for index in range(len(values))]
    axis.step(numbers, best, where="post", color=_BEST, label="best so far")
    _points(axis, numbers, values, [t.number for t in pruned], [_figure(t) for t in pruned])
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="trial", ylabel=f"{found.headline}, mean of the folds")
    axis.legend(fontsize="small")


def _field(axis: Any, field: Field, found: Found, ended: list[FrozenTrial], pruned: list[FrozenTrial]) -> None:
    order = [str(choice) for choice in field.choices] if field.choices is not None else []

    def place(trial: FrozenTrial) -> float:
        stored = trial.params[field.path]
        return order.index(str(stored)) if order else stored

    pruned = [trial for trial in pruned if field.path in trial.params]
    _points(
        axis,
        [place(t) for t in ended],
        [_figure(t) for t in ended],
        [place(t) for t in pruned],
        [_figure(t) for t in pruned],
    )
    axis.plot([place(found.best)], [found.best.value], "*", color=_BEST, markersize=14, zorder=3)
    if field.kind == "log":
        axis.set_xscale("log")
    if order:
        axis.set_xticks(range(len(order)), order)
        axis.set_xlim(-0.5, len(order) - 0.5)
    axis.set(xlabel=field.path, ylabel=found.headline)


def _points(axis: Any, x: list[Any], y: list[float], pruned_x: list[Any], pruned_y: list[float]) -> None:
    axis.plot(x, y, "o", color=_DONE, alpha=0.8, label="to the end")
    if pruned_x:
        axis.plot(pruned_x, pruned_y, "x", color=_PRUNED, label="pruned")


def _figure(trial: FrozenTrial) -> float:
    if trial.value is not None and trial.state == TrialState.COMPLETE:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)]
