"""Putting a run together on the machine at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from PIL import Image

from registry.errors import RegistryError
from registry.files import write_atomically
from registry.registry import Registry
from registry.tasks import check_channels
from registry_training.board import board_missing
from registry_training.curves import curves_missing
from registry_training.form import Form
from registry_training.held_out import check_held_out, held_out_data
from registry_training.loading import usable_workers
from registry_training.part import Part
from registry_training.prepare import Prepared, prepared
from registry_training.report import Report
from registry_training.run import BEST, LAST, Outcome, Run, Stopped
from registry_training.seeds import start_seed
from registry_training.state import Journal

#: Size of the picture that tells how many channels the task yields.
_TRIED = (64, 64)


@dataclass(frozen=True)
class Wanted:
    """What a user asked for; see `registry train --help`."""

    model: str
    data: str
    recipe: str | None
    assignments: Sequence[str]
    weights: str | None
    backbone_weights: str | None
    folder: Path
    resume: bool
    device: str | None
    workers: int | None
    save_every: int
    overfit: int | None
    held_out: str | None = None


def start(registry: Registry, wanted: Wanted) -> Outcome | None:
    """Runs a training to its end; None if it was asked to stop and can go on.

    Raises:
        RegistryError: what stops it before its first step or later, with what to do.
    """
    accelerator, ready = ready_for(registry, wanted)
    main = accelerator.is_main_process
    for note in (*ready.notes, board_missing(), curves_missing()) if main else ():
        if note is not None:
            click.echo(note, err=True)
    run = made_run(registry, wanted, accelerator, ready)
    if wanted.resume and not run.resume() and main:
        click.echo(f"{wanted.folder} holds no checkpoint yet; starting at the beginning", err=True)
    with Report(ready.plan.recipe.epochs, run.steps, quiet=not main) as report:
        try:
            outcome = run.train(report)
        except Stopped:
            return None
        except RuntimeError as error:
            if accelerator.num_processes > 1 and _lost(error):
                text = "another process of the training is gone; its own message tells why. Go on with --resume"
                raise RegistryError(text) from error
            raise

    if ready.held_out is not None and main:
        _measure_held_out(registry, wanted.folder, ready, outcome, accelerator.device)
    return outcome


def _measure_held_out(
    registry: Registry, folder: Path, ready: Prepared, outcome: Outcome, device: torch.device
) -> None:
    """The gap between validation and what neither training nor the choice of the best model saw."""
    validation: dict[str, float] = {}
    name = LAST
    if outcome.best is not None:
        name = BEST
        for entry in Journal(folder / "metrics.jsonl").entries():
            if entry.get("epoch") == outcome.best[0] and "figures" in entry:
                validation = entry["figures"]
    model = registry.build(str(folder / f"{name}{Form.suffix}"), device=str(device))
    found = check_held_out(registry, ready.plan.model, model, ready.held_out, validation, device)
    click.echo(found.as_text(), err=True)
    write_atomically(folder / "held_out.json", json.dumps(asdict(found), indent=1).encode())


def _lost(error: RuntimeError) -> bool:
    """True for what torch raises where a process that it waits for has ended."""
    return isinstance(error, torch.distributed.DistError) or "peer" in str(error)


def dry(registry: Registry, wanted: Wanted, steps: int = 3) -> dict[str, Any]:
    """What a run would take, after a few steps of it; nothing is written."""
    accelerator, ready = ready_for(registry, wanted)
    seconds: list[float] = []
    run = made_run(registry, wanted, accelerator, ready)
    for step in run.try_steps(steps):
        seconds.append(step.seconds)
    recipe = ready.plan.recipe
    each = sorted(seconds)[len(seconds) // 2]
    total = each * run.steps * recipe.epochs
    return {
        "pictures": len(ready.training),
        "steps_an_epoch": run.steps,
        "steps": run.steps * recipe.epochs,
        "seconds_a_step": round(each, 4),
        "hours": round(total / 3600, 3),
        "peak_memory_mb": _peak_memory(accelerator.device),
        "device": str(accelerator.device),
    }


def ready_for(registry: Registry, wanted: Wanted) -> tuple[Accelerator, Prepared]:
    """What a run needs, settled; raises RegistryError for what does not fit."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    ready = prepared(
        registry,
        wanted.model,
        data=wanted.data,
        recipe=wanted.recipe,
        assignments=wanted.assignments,
        processes=processes,
    )
    if wanted.held_out is not None:
        kind, seed = ready.plan.model.task.type, ready.plan.recipe.seed
        training, held = held_out_data(registry, wanted.held_out, ready.training, kind, seed)
        ready = replace(ready, plan=replace(ready.plan, held_out=wanted.held_out), training=training, held_out=held)
    if wanted.overfit is not None:
        first = Part(ready.training, range(min(wanted.overfit, len(ready.training))))
        ready = replace(ready, training=first, validation=first)
    return machine(ready, wanted.device), ready


def machine(ready: Prepared, device: str | None) -> Accelerator:
    """Where a run takes place: a device, its precision, and the other processes.

    Raises:
        RegistryError: there is no such device, or it has not the recipe's precision.
    """
    precision = {"fp32": "no"}.get(ready.plan.recipe.precision, ready.plan.recipe.precision)
    try:
        accelerator = Accelerator(cpu=device == "cpu" or None, mixed_precision=precision)
    except ValueError as error:
        raise RegistryError(f"recipe.precision = {ready.plan.recipe.precision} cannot be had here: {error}") from error
    if device is not None and accelerator.device.type != device:
        raise RegistryError(f"there is no device `{device}` here; leave out --device to train on {accelerator.device}")
    if ready.plan.recipe.precision == "fp16" and accelerator.device.type == "cpu":
        raise RegistryError("a CPU trains in fp32 or bf16; set recipe.precision to one of them")
    return accelerator


def made_run(registry: Registry, wanted: Wanted, accelerator: Accelerator, ready: Prepared) -> Run:
    """The run itself, its model built and started from what user or recipe say; raises as `Registry.build`."""
    plan = ready.plan
    set_seed(start_seed(plan.seed) % 2**32)
    model = registry.build(plan.model, **_start(plan.recipe, wanted))
    spec: Any = model.spec
    plan = replace(plan, model=spec)
    check_channels(spec, registry.task(spec).as_input(Image.new("RGB", _TRIED)))
    workers = min(plan.recipe.workers, usable_workers()) if wanted.workers is None else wanted.workers
    return Run(
        registry,
        plan,
        model,
        ready.training,
        ready.validation,
        wanted.folder,
        accelerator,
        workers=workers,
        save_every=wanted.save_every,
    )


def _start(recipe: Any, wanted: Wanted) -> dict[str, Any]:
    """What the model starts from: as the user says, else as the recipe does."""
    given = {"weights": wanted.weights, "backbone_weights": wanted.backbone_weights}
    if any(value is not None for value in given.values()) or recipe.start == "random":
        return given
    return {recipe.start: "default"}


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) / 1e6)
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
