"""`registry tune`: a cross-validated search of a recipe's, model's or data set's settings."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from registry import default_registry
from registry.assemble import require_torch
from registry.cli import options
from registry.errors import MissingExtraError


@click.command("tune")
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A data set: a document's name or file, or a folder.")
@click.option("--recipe", metavar="NAME", help="How to train: a recipe's name or file.  [default: the model's own]")
@options.overrides
@click.option(
    "--search",
    "searches",
    multiple=True,
    required=True,
    metavar="KEY=KIND:VALUES",
    help="A setting to search, such as recipe.rate=log:1e-4,1e-2; KIND is log, linear, int or choice.",
)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True, help="Parts of the training split.")
@click.option(
    "--trials", type=click.IntRange(1), default=20, show_default=True, help="Trials of all processes together."
)
@click.option("--storage", metavar="URL", help="Where trials are kept, for many machines.  [default: DIR/study.db]")
@click.option("--study", metavar="NAME", help="Name of the study in the storage.  [default: the model's]")
@click.option(
    "--pruner", type=click.Choice(["median", "none"]), default="median", show_default=True, help="What stops early."
)
@click.option(
    "--sampler", type=click.Choice(["tpe", "random"]), default="tpe", show_default=True, help="What draws settings."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds and sampler.")
@click.option("--weights", metavar="W", help="What the model starts from; see `registry build --help`.")
@click.option("--backbone-weights", metavar="W", help="What its backbone alone starts from.")
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps"]), help="Where to run.  [default: the best there is]")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes that load pictures.  [default: cores less one]")
@click.option(
    "-o", "--output", "folder", default="runs/MODEL-tune", show_default=True, metavar="DIR", help="Where results go."
)
@options.output_format
def tune(
    model: str,
    data: str,
    recipe: str | None,
    assignments: tuple[str, ...],
    searches: tuple[str, ...],
    folds: int,
    trials: int,
    storage: str | None,
    study: str | None,
    pruner: str,
    sampler: str,
    seed: int,
    weights: str | None,
    backbone_weights: str | None,
    device: str | None,
    workers: int | None,
    folder: str,
    output_format: str,
) -> None:
    """Search settings under which MODEL, a name or a path, trains best on a data set.

    The training split is cut into folds. A trial trains once for each, on the others, and its figure is the mean over the
    folds; the validation split stays untouched. The same command goes on with a search that was stopped or killed. Started
    several times, on any number of machines with one --storage, it shares the trials.

    Exit codes: 0 all trials done, 1 an error, 2 used wrongly, 143 asked to stop, and ready to go on.
    """
    require_torch("tuning")
    for package in ("optuna", "accelerate"):
        if find_spec(package) is None:
            raise MissingExtraError("tuning", "tune", package)
    from registry_tuning.asked import Asked, checked
    from registry_tuning.fields import parsed
    from registry_tuning.report import printed
    from registry_tuning.search import search
    from registry_tuning.studies import shown_url

    name = Path(model).stem
    asked = Asked(
        model=model,
        data=data,
        recipe=recipe,
        assignments=assignments,
        weights=weights,
        backbone_weights=backbone_weights,
        fields=parsed(searches),
        folds=folds,
        trials=trials,
        storage=storage,
        study=study or name,
        pruner=pruner,
        sampler=sampler,
        seed=seed,
        folder=Path(folder.replace("MODEL", name)),
        device=device,
        workers=workers,
    )
    shown_url(asked.url)
    registry = default_registry()
    base = checked(registry, asked)
    for note in base.notes:
        click.echo(note, err=True)
    found = search(registry, asked, base, lambda line: click.echo(line, err=True))
    if found is None:
        click.echo(f"stopped; go on with the same command: registry {shlex.join(sys.argv[1:])}", err=True)
        sys.exit(143)
    printed(registry, asked, found, output_format)
