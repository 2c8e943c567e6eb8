"""Training with simulated rounding: a run like any other, whose model is converted before it is measured."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from registry_recipes.average_specs import QuantizationAwareSpec
from registry_training.form import Form
from registry_training.loading import usable_workers
from registry_training.prepare import Prepared, prepared
from registry_training.report import Report
from registry_training.run import BEST, LAST, Run, Stopped
from registry_training.start import machine
from registry_training.state import folder_is_usable
from torch import nn

from registry.errors import RegistryError
from registry.files import write_atomically
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.weights import read_state_dict
from registry_quantization.verb.asked import Training


class SimulatedForm(Form):
    """A model with simulated rounding: measured as the integer model that it becomes, kept with its ranges."""

    suffix = ".simulated.safetensors"

    def __init__(self, registry: Registry, scheme: Any, spec: Any, schedule: QuantizationAwareSpec) -> None:
        super().__init__(registry)
        self._scheme, self._spec, self._schedule = scheme, spec, schedule

    def before(self, model: nn.Module, epoch: int) -> None:
        """Stops what adapts, from the epochs on that the schedule names."""
        if epoch >= self._schedule.observer_epochs:
            self._scheme.freeze_observers(model)
        if epoch >= self._schedule.batch_norm_epochs:
            self._scheme.freeze_batch_norms(model)

    def measured(self, model: nn.Module) -> nn.Module:
        """The integer model."""
        made: nn.Module = self._scheme.convert(self._spec, model)
        return made

    def save(self, model: nn.Module, path: Path) -> None:
        """Its tensors alone; the structure comes from `prepare`."""
        from safetensors.torch import save

        state = {key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}
        try:
            write_atomically(path, save(state))
        except OSError as error:
            raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error


def planned(
    registry: Registry, model: ModelSpec, data: str, training: Training, assignments: Sequence[str]
) -> Prepared:
    """The plan of a training with simulated rounding, and its data.

    Raises:
        RegistryError: the recipe does not fit, or the folder holds a run or cannot be written.
    """
    found = prepared(registry, model, data=data, recipe=training.recipe, assignments=assignments, simulated=True)
    recipe = found.plan.recipe
    for name in ("ema", "averaging"):
        if getattr(recipe, name) is not None:
            raise RegistryError(
                f"averages of parameters do not know the ranges of a model with simulated rounding; set recipe.{name} to null"
            )
    if not training.resume and (training.folder / "state.pt").exists():
        raise RegistryError(
            f"{training.folder} holds a run already; go on with it by --resume, or choose another --run"
        )
    folder_is_usable(training.folder)
    return found


def trained(
    registry: Registry, ready: Prepared, training: Training, scheme: Any, model: nn.Module, batches: Sequence[Any]
) -> nn.Module | None:
    """The integer model after a training; None where it was asked to stop, and can go on.

    Args:
        scheme: that has `prepare`, `convert`, `freeze_observers` and `freeze_batch_norms`.
        model: float, with its weights; it is left as it was.
        batches: to calibrate with.

    Raises:
        RegistryError: the model cannot be trained so, or as `Run.train`.
    """
    plan = ready.plan
    spec = plan.model.quantization
    schedule = plan.recipe.quantization_aware or QuantizationAwareSpec()
    accelerator = machine(ready, training.device)
    own = registry.build(plan.model)
    own.load_state_dict(model.state_dict())
    simulated = scheme.prepare(spec, own.eval(), batches)
    form = SimulatedForm(registry, scheme, spec, schedule)
    workers = min(plan.recipe.workers, usable_workers()) if training.workers is None else training.workers
    run = Run(
        registry,
        replace(plan, model=own.spec),  # type: ignore[arg-type]  # built modules carry it
        simulated,
        ready.training,
        ready.validation,
        training.folder,
        accelerator,
        workers=workers,
        form=form,
    )
    if training.resume and not run.resume():
        click.echo(f"{training.folder} holds no checkpoint yet; starting at the beginning", err=True)
    with Report(plan.recipe.epochs, run.steps) as report, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*erase_node.*|.*non-writable.*")
        try:
            outcome = run.train(report)
        except Stopped:
            return None
    simulated.cpu()
    simulated.load_state_dict(read_state_dict(run.file(BEST if outcome.best is not None else LAST)))
    made: nn.Module = scheme.convert(spec, simulated)
    return made.eval()
