"""`registry train`: a model, a recipe and a data set, trained in a folder of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click

from registry import default_registry
from registry.assemble import require_torch
from registry.cli import options
from registry.errors import MissingExtraError, RegistryError


@click.command("train")
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A data set: a document's name or file, or a folder.")
@click.option("--recipe", metavar="NAME", help="How to train: a recipe's name or file.  [default: the model's own]")
@options.overrides
@click.option("--weights", metavar="W", help="What the model starts from; see `registry build --help`.")
@click.option("--backbone-weights", metavar="W", help="What its backbone alone starts from.")
@click.option(
    "--output", "folder", default="runs/MODEL", show_default=True, metavar="DIR", help="Where the run is kept."
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, as if it had never stopped.")
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps"]), help="Where to run.  [default: the best there is]")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes that load pictures.  [default: cores less one]")
@click.option(
    "--save-every", type=click.IntRange(1), default=500, show_default=True, help="Updates between checkpoints."
)
@click.option("--overfit", type=click.IntRange(1), metavar="N", help="Train on the first N pictures alone, as a trial.")
@click.option(
    "--held-out",
    metavar="DATA|SHARE",
    help="Measure the finished model on this too: a data set, or a share of the training pictures, such as 0.1.",
)
@click.option("--dry-run", is_flag=True, help="Try a few steps and tell time, memory and steps; nothing is kept.")
@options.output_format
def train(
    model: str,
    data: str,
    recipe: str | None,
    assignments: tuple[str, ...],
    weights: str | None,
    backbone_weights: str | None,
    folder: str,
    resume: bool,
    device: str | None,
    workers: int | None,
    save_every: int,
    overfit: int | None,
    held_out: str | None,
    dry_run: bool,
    output_format: str,
) -> None:
    """Train MODEL, a name or a path, on a data set.

    Settings: --set KEY=VALUE for the model, --set recipe.KEY=VALUE, --set dataset.KEY=VALUE. The folder gets best.safetensors
    and last.safetensors, which `registry.build`, `predict` and `evaluate` take, metrics.jsonl, and state.pt to go on from.
    Where one process is too slow, `torchrun --nproc-per-node N -m registry.cli train …` is the same training.

    Exit codes: 0 trained to the end, 1 an error, 2 used wrongly, 143 asked to stop, and ready to --resume.
    """
    require_torch("training")
    if find_spec("accelerate") is None:
        raise MissingExtraError("training", "train", "accelerate")
    from registry_training.start import Wanted, dry, start

    name = Path(model).stem
    out = Path(folder.replace("MODEL", name))
    if not resume and not dry_run and (out / "state.pt").exists():
        raise RegistryError(f"{out} holds a run already; go on with it by --resume, or choose another --output")
    wanted = Wanted(
        model,
        data,
        recipe,
        assignments,
        weights,
        backbone_weights,
        out,
        resume,
        device,
        workers,
        save_every,
        overfit,
        held_out,
    )
    registry = default_registry()
    if dry_run:
        told = dry(registry, wanted)
        click.echo(
            json.dumps(told, indent=2) if output_format == "json" else "\n".join(f"{k}: {v}" for k, v in told.items())
        )
        return
    outcome = start(registry, wanted)
    first = os.environ.get("RANK", "0") == "0"  # of several processes, one speaks
    if outcome is None:
        if first:
            click.echo(f"stopped; go on with: registry train {model} --data {data} --output {out} --resume", err=True)
        sys.exit(143)
    if not first:
        return
    if output_format == "json":
        click.echo(json.dumps(asdict(outcome), indent=2))
    else:
        click.echo(f"{out}: {outcome.updates} updates")
        for key, value in outcome.figures.items():
            click.echo(f"  {key}: {value:.4g}")
