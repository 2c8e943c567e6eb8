"""`registry quantize`: a model in integers, what that costs, and the file for its engine."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from registry_export import flow
from registry_training.prepare import opened

from registry import default_registry
from registry.assemble import require_torch
from registry.catalog import is_checkpoint
from registry.cli import options, output
from registry.errors import MissingExtraError, RegistryError, RegistryWarning
from registry_quantization.verb.asked import Training, settled
from registry_quantization.verb.misuse import refuse_to_overwrite, refuse_useless

#: Where a training is kept, unless the user says so.
_RUN = "runs/MODEL-qat"


@click.command("quantize")
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A data set: a document's name or file, or a folder.")
@click.option(
    "--scheme",
    metavar="NAME",
    help="How to quantize: registry list --kind quantization.  [default: the model's own, else xnnpack]",
)
@click.option("-o", "--output", "path", metavar="FILE", help="What to write; its suffix says for which engine.")
@click.option("--qat", metavar="RECIPE", help="Train with simulated rounding too, as this recipe says.")
@click.option(
    "--qat-weights",
    metavar="W",
    help="Instead of --qat: weights of such a training elsewhere, a file or torchvision:ENUM.ENTRY.",
)
@click.option("--run", "folder", metavar="DIR", help="Where that training is kept.  [default: runs/MODEL-qat]")
@click.option("--resume", is_flag=True, help="Go on with the training in the folder.")
@click.option(
    "--workers", type=click.IntRange(0, 256), help="Processes that load pictures for it.  [default: cores less one]"
)
@click.option(
    "--split",
    type=click.Choice(["validation", "train"]),
    default="validation",
    show_default=True,
    help="Which half is measured.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Measure on the first N pictures alone.")
@click.option("--batch", type=click.IntRange(1, 4096), default=32, show_default=True, help="Pictures at once.")
@click.option("--image", "images", multiple=True, metavar="FILE", help="Image to verify the file on; may be repeated.")
@click.option(
    "--dry-run", is_flag=True, help="Only hold model, scheme, data and file against each other; builds nothing."
)
@options.model_settings
@options.output_format
def quantize(
    model: str,
    data: str,
    scheme: str | None,
    path: str | None,
    qat: str | None,
    qat_weights: str | None,
    folder: str | None,
    resume: bool,
    workers: int | None,
    split: str,
    limit: int | None,
    batch: int,
    images: tuple[str, ...],
    dry_run: bool,
    assignments: tuple[str, ...],
    weights: str | None,
    sha256: str | None,
    num_classes: int | None,
    in_channels: int | None,
    adapt_input: Any,
    device: str | None,
    output_format: str,
) -> None:
    """Quantize MODEL, a checkpoint or a name with --weights, with ranges from the training pictures of a data set.

    Tells its figures before and after on the same pictures, which layers rounding hurts most, and which stayed float. Settings:
    --set quantization.KEY=VALUE, --set export.KEY=VALUE, --set dataset.KEY=VALUE and, with --qat, --set recipe.KEY=VALUE.
    The device is that of the training; integers are computed on the CPU.

    Exit codes: 0 done, 1 an error, 2 used wrongly, 143 the training was asked to stop, and is ready to --resume.
    """
    training = {
        "--run": folder is not None,
        "--resume": resume,
        "--workers": workers is not None,
        "--device": device not in (None, "cpu"),
    }
    refuse_useless(training, assignments, qat=qat, qat_weights=qat_weights, scheme=scheme, file=path, images=images)
    registry = default_registry()
    given: dict[str, Any] = {"num_classes": num_classes, "in_channels": in_channels, "weights": weights}
    asked = settled(registry, model, scheme, path, assignments, **given)
    with warnings.catch_warnings():
        if not dry_run:
            warnings.simplefilter("ignore", RegistryWarning)  # reading the data tells them
        opened(registry, data, asked.model.task.type, assignments)
    refuse_to_overwrite(registry, asked, model, data, images, (weights, qat_weights))
    if dry_run:
        told = {"model": asked.model.name, "scheme": asked.scheme.type, "target": asked.target and asked.target.type}
        output.echo_json({**told, "fits": True}) if output_format == "json" else click.echo("fits")
        return
    if weights is None and not is_checkpoint(model):
        raise RegistryError(f"ranges of random weights mean nothing; give --weights, or a checkpoint of `{model}`")
    if qat is not None and find_spec("accelerate") is None:
        raise MissingExtraError("training", "train", "accelerate")
    if asked.target is not None and asked.file is not None:
        flow.check_installed(asked.target)
        with flow.draft(asked.file):  # tells of a folder that cannot be written before anything is built
            pass
    require_torch("quantizing a model")
    from registry_quantization.verb.quantizing import Data, quantized
    from registry_quantization.verb.telling import as_data, as_text

    own = Path((_RUN if folder is None else folder).replace("MODEL", Path(model).stem))
    report = quantized(
        registry,
        asked,
        model,
        Data(data, split, limit, batch, images),
        assignments,
        {**given, "sha256": sha256, "adapt_input": adapt_input, "device": None},
        None if qat is None else Training(qat, own, resume, device, workers),
        qat_weights,
    )
    if report is None:
        click.echo("stopped; go on by giving the same once more with --resume", err=True)
        sys.exit(143)
    output.echo_json(as_data(report)) if output_format == "json" else click.echo(as_text(report))
