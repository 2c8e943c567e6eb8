"""A whole training: epochs, validation, checkpoints, figures, and how it stops."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from registry_recipes.averaging import average_state_dicts
from torch import nn

from registry.files import write_atomically
from registry.registry import Registry
from registry_training.board import Board, board_missing
from registry_training.curves import curves_missing, draw_curves
from registry_training.form import Form
from registry_training.loading import samples_of
from registry_training.measuring import figures, measured, measuring_task
from registry_training.plan import Plan
from registry_training.state import Journal, State, folder_is_usable, remove_remains
from registry_training.stopping import Stop
from registry_training.trainer import NotFiniteError, Step, Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

LAST, BEST, STATE = "last", "best", "state.pt"


class Stopped(Exception):
    """A signal asked the run to stop; everything that it needs to go on is kept."""


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        figures: of the last validation.
        best: epoch and headline figure of the best one, or None.
    """

    figures: dict[str, float] = field(default_factory=dict)
    best: tuple[int, float] | None = None
    updates: int = 0


class Run:
    """A training in a folder of its own.

    Args:
        folder: where `state.pt`, `metrics.jsonl`, and the last and the best model stand.
        save_every: updates between checkpoints inside an epoch; one is written after every epoch too.
        form: what is kept and measured of the model; None: the model itself.
    """

    def __init__(
        self,
        registry: Registry,
        plan: Plan,
        model: nn.Module,
        training: Any,
        validation: Any | None,
        folder: Path,
        accelerator: Accelerator,
        *,
        workers: int = 0,
        save_every: int = 500,
        form: Form | None = None,
    ) -> None:
        self._registry = registry
        self._plan = plan
        self._task = registry.task(plan.model)
        self._validation = validation
        self._order = plan.order(training)
        self._trainer = Trainer(plan, model, self._task, self._order.steps(), accelerator)
        self._samples = samples_of(plan, training, self._task)
        self._folder = folder
        self._accelerator = accelerator
        self._workers = workers
        self._save_every = save_every
        self._form = form or Form(registry)
        self._journal = Journal(folder / "metrics.jsonl")
        self._best: list[tuple[int, float]] = []
        self._lines = 0
        self._board: Board | None = None
        self._stop = Stop()

    @property
    def steps(self) -> int:
        """Updates of an epoch."""
        return self._order.steps()

    def file(self, name: str) -> Path:
        """Where the model called `LAST`, `BEST`, or another name stands."""
        return self._folder / f"{name}{self._form.suffix}"

    def resume(self) -> bool:
        """Goes on from the folder's checkpoint; False where there is none yet.

        Raises:
            RegistryError: it cannot be read, or is another run's.
        """
        path = self._folder / STATE
        if not path.exists():
            return False
        state = State.read(path)
        self._trainer.resume(state)
        self._best = [(int(epoch), float(value)) for epoch, value in state.best]
        self._lines = state.lines
        return True

    def train(self, told: Callable[[Step | dict[str, Any]], None] = lambda _: None) -> Outcome:
        """Trains to the end.

        Args:
            told: is given each step, and each validation's figures.

        Raises:
            Stopped: SIGTERM or SIGINT came; the checkpoint is written.
            NotFiniteError: a loss is no number; `not_finite.json` names the pictures.
            RegistryError: a checkpoint cannot be written; the one before is whole.
        """
        if self._accelerator.is_main_process:
            folder_is_usable(self._folder)
            remove_remains(self._folder)
            self._journal.rewind(self._lines)
            self._describe()
            if board_missing() is None:
                self._board = Board(self._folder / "tensorboard", self._journal.entries())
        outcome = Outcome()
        with self._stop.listening(), closing(self._board) if self._board is not None else nullcontext():
            while self._trainer.position.epoch < self._plan.recipe.epochs:
                self._epoch(told)
                epoch = self._trainer.position.epoch
                every = self._plan.recipe.validate_every
                if epoch % every == 0 or epoch == self._plan.recipe.epochs:
                    if self._validation is not None:
                        outcome.figures, told_of = self._validate(epoch)
                        told(told_of)
                    self._keep_epoch(epoch)
                self._save()
        outcome.best = self._best[-1] if self._best else None
        outcome.updates = self._trainer.position.updates
        self._finish()
        return outcome

    def averaged_figures(self) -> dict[str, float]:
        """Figures on the validation split of the model that the recipe's averaging ends in, after `train`, in one process."""
        task, spec = measuring_task(self._registry, self._plan.model)
        every = range(len(self._validation))  # type: ignore[arg-type]  # only asked where there is one
        found = measured(self._trainer.model, task, self._validation, every, device=self._accelerator.device)
        return figures(task.metric(spec), task, found)

    def try_steps(self, count: int) -> Iterator[Step]:
        """A few steps whose results are thrown away."""
        for done, step in enumerate(self._trainer.epoch(self._order, self._samples, self._workers), start=1):
            yield step
            if done == count:
                return

    def _epoch(self, told: Callable[[Step | dict[str, Any]], None]) -> None:
        self._form.before(self._trainer.model, self._trainer.position.epoch)
        try:
            for step in self._trainer.epoch(self._order, self._samples, self._workers):
                told(step)
                if self._accelerator.is_main_process:
                    self._note(
                        update=self._trainer.position.updates,
                        epoch=step.epoch,
                        step=step.step,
                        loss=step.loss,
                        losses=step.losses,
                        rate=step.rate,
                    )
                if self._asked_to_stop():
                    self._save()
                    raise Stopped
                if self._trainer.position.updates % self._save_every == 0:
                    self._save()
        except NotFiniteError as error:
            write_atomically(self._folder / "not_finite.json", json.dumps(error.names, indent=1).encode())
            raise

    def _note(self, **entry: Any) -> None:
        self._journal.add(**entry)
        if self._board is not None:
            self._board.add(entry)

    @property
    def asked_to_stop(self) -> bool:
        """True once a signal asked this process to stop, even where it came too late for the run itself."""
        return self._stop.asked

    def _asked_to_stop(self) -> bool:
        """True where a signal came to any process: all stop after the same step."""
        if self._accelerator.num_processes == 1:
            return self._stop.asked
        if self._stop.asked:
            self._accelerator.set_trigger()
        return bool(self._accelerator.check_trigger())

    def _validate(self, epoch: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Figures of the averaged or plain model, gathered from all processes; each picture counts once."""
        task, spec = measuring_task(self._registry, self._plan.model)
        rank, processes = self._accelerator.process_index, self._accelerator.num_processes
        indices = range(rank, len(self._validation), processes)  # type: ignore[arg-type]  # None is asked about before
        with self._trainer.measured() as model:
            shown = self._form.measured(model)
            found = list(measured(shown, task, self._validation, indices, device=self._accelerator.device))
        if processes > 1:
            from accelerate.utils import gather_object

            found = sorted(gather_object(found), key=lambda one: one.index)
        metric = task.metric(spec)
        result = figures(metric, task, found)
        value = result[metric.headline]
        better = not self._best or (
            (value > self._best[-1][1]) == metric.higher_is_better and value != self._best[-1][1]
        )
        if better:
            self._best.append((epoch, value))
            self._write_model(BEST)
        if self._accelerator.is_main_process:
            entry = {"update": self._trainer.position.updates, "epoch": epoch, "figures": result}
            self._note(**entry)
        return result, {"epoch": epoch, "figures": result, "headline": metric.headline, "best": better}

    def _keep_epoch(self, epoch: int) -> None:
        """Models that are averaged at the end, of epochs that are validated."""
        averaging = self._plan.recipe.averaging
        if averaging is None:
            return
        chosen = averaging.which == "last" or (bool(self._best) and self._best[-1][0] == epoch)
        if chosen:
            self._write_model(f"epoch-{epoch:05}")
            kept = sorted(self._folder.glob("epoch-*.safetensors"))
            for path in kept[: -averaging.count] if self._accelerator.is_main_process else ():
                path.unlink(missing_ok=True)

    def _finish(self) -> None:
        """The model of the end: what the averaging asks for, else the last."""
        kept = sorted(self._folder.glob("epoch-*.safetensors"))
        if self._plan.recipe.averaging is not None and kept and self._accelerator.is_main_process:
            from registry.weights import read_state_dict

            self._trainer.model.load_state_dict(average_state_dicts([read_state_dict(path) for path in kept]))
            self._registry.save(self._trainer.model, self._folder / "averaged.safetensors")
        if curves_missing() is None and self._journal.lines and self._accelerator.is_main_process:
            draw_curves(self._folder / "metrics.jsonl", self._folder / "curves.png")

    def _save(self) -> None:
        if self._accelerator.is_main_process:
            self._trainer.state(self._best, self._journal.lines).write(self._folder / STATE)
            if self._board is not None:
                self._board.flush()
        self._write_model(LAST)

    def _write_model(self, name: str) -> None:
        if not self._accelerator.is_main_process:
            return
        with self._trainer.measured() as model:
            self._form.save(model, self.file(name))

    def _describe(self) -> None:
        plan = self._plan
        data = {
            "model": self._registry.host.dump(plan.model),
            "recipe": plan.recipe.model_dump(mode="json"),
            "dataset": plan.dataset.model_dump(mode="json"),
            "digest": plan.digest(),
            "plugins": {
                record.origin.distribution: record.origin.version
                for record in self._registry.plugins
                if record.state == "loaded"
            },
            "torch": torch.__version__,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_atomically(self._folder / "run.json", json.dumps(data, indent=1).encode())
