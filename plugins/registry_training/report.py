"""What a person sees of a run: a bar where somebody watches it, else a line for each epoch."""

from __future__ import annotations

import sys
from typing import Any

import click

from registry_training.trainer import Step

#: Share of the newest step in the figures of the bar.
_NEWEST = 0.1


class Report:
    """Prints steps and figures as they come.

    Args:
        epochs, steps: of the whole run, and of one epoch.
        quiet: print nothing, as processes beside the first do.
    """

    def __init__(self, epochs: int, steps: int, *, quiet: bool = False) -> None:
        self._epochs, self._steps, self._quiet = epochs, steps, quiet
        self._loss: float | None = None
        self._speed: float | None = None
        self._sum, self._count = 0.0, 0
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            self._bar = _bar()

    def __enter__(self) -> Report:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("epoch 1", total=self._steps, told="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Step | dict[str, Any]) -> None:
        """A step, or the figures of a validation."""
        if self._quiet:
            return
        if isinstance(event, Step):
            self._step(event)
        else:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in list(event["figures"].items())[:4])
            self._say(f"epoch {event['epoch']}: {shown}{' (best so far)' if event['best'] else ''}")

    def _step(self, step: Step) -> None:
        self._loss = step.loss if self._loss is None else (1 - _NEWEST) * self._loss + _NEWEST * step.loss
        speed = step.images / max(step.seconds, 1e-9)
        self._speed = speed if self._speed is None else (1 - _NEWEST) * self._speed + _NEWEST * speed
        self._sum, self._count = self._sum + step.loss, self._count + 1
        if self._bar is not None:
            told = f"loss {self._loss:.4f}  rate {step.rate:.3g}  {self._speed:.1f} images/s"
            self._bar.update(
                self._task, description=f"epoch {step.epoch + 1}/{self._epochs}", completed=step.step + 1, told=told
            )
        if step.step + 1 == self._steps:
            mean = self._sum / self._count
            self._say(f"epoch {step.epoch + 1}/{self._epochs}: loss {mean:.4f}, {self._speed:.1f} images/s")
            self._sum, self._count = 0.0, 0

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[told]}"), console=Console(stderr=True), transient=True)
