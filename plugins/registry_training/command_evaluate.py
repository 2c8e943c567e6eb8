"""`registry evaluate`: figures of a model on a data set."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry import default_registry
from registry.assemble import require_torch
from registry.cli import options, output
from registry.cli.replacing import files_of, files_of_data, refuse_to_replace, weights_files
from registry.errors import RegistryWarning
from registry.tasks import Details

#: Rows of classes that a terminal is shown.
_CLASSES = 30


@click.command("evaluate")
@click.argument("model")
@click.option("--data", required=True, metavar="DATA", help="A data set: a document's name or file, or a folder.")
@click.option(
    "--split", type=click.Choice(["validation", "train"]), default="validation", show_default=True, help="Which half."
)
@options.model_settings
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures.")
@click.option("--batch", type=click.IntRange(1, 4096), default=32, show_default=True, help="Pictures at once.")
@click.option("--results", metavar="FILE", help="Write every result as JSON, in COCO's format where the task has it.")
@click.option("--worst", metavar="DIR", help="Draw the pictures on which the model does worst.")
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    help="Least score of an answer that --worst draws; figures count all.  [default: the model's own]",
)
@click.option("--confusion", metavar="FILE", help="Write what was taken for what, as .png or .csv.")
@click.option("--backend", metavar="NAME", help="What computes the figures, where the task has a choice.")
@options.output_format
def evaluate(
    model: str,
    data: str,
    split: str,
    assignments: tuple[str, ...],
    weights: str | None,
    sha256: str | None,
    num_classes: int | None,
    in_channels: int | None,
    adapt_input: Any,
    device: str | None,
    limit: int | None,
    batch: int,
    results: str | None,
    worst: str | None,
    score: float | None,
    confusion: str | None,
    backend: str | None,
    output_format: str,
) -> None:
    """Measure MODEL, a checkpoint, a file of `registry export`, or a name with --weights, on a data set.

    Every answer counts, whatever its score. Settings of the data set: --set dataset.KEY=VALUE. Under `torchrun
    --nproc-per-node N -m registry.cli evaluate …` the processes share the pictures, and each counts once.
    """
    registry = default_registry()
    read = [("the model", file) for file in files_of(registry, model)]
    read += [("the data set's document", file) for file in files_of(registry, data, "dataset")]
    read += [("the file of weights", file) for file in weights_files(weights)]
    named = {"--results": results, "--confusion": confusion}
    written = [(option, Path(text)) for option, text in named.items() if text is not None]
    refuse_to_replace(written, read)
    require_torch("measuring a model")
    from registry_training.confusion import check_confusion, write_confusion
    from registry_training.evaluation import Evaluation, Share
    from registry_training.prepare import opened

    settings: dict[str, Any] = {
        "weights": weights,
        "sha256": sha256,
        "num_classes": num_classes,
        "in_channels": in_channels,
        "adapt_input": adapt_input,
        "device": device,
    }
    if score is not None and worst is None:
        raise click.UsageError("`--score` says what `--worst` draws; give that too, or leave it out")
    if confusion is not None:
        check_confusion(Path(confusion))
    share = Share.here(device)
    evaluation = Evaluation.open(registry, model, data, split, assignments, settings, score)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RegistryWarning)  # they were told already
        dataset = opened(registry, data, evaluation.spec.task.type, assignments)
    refuse_to_replace(written, [("a file of the data set", file) for file in files_of_data(dataset)])
    evaluation.metric(backend)  # a backend that is not there is told before the work
    count = min(limit or evaluation.pictures, evaluation.pictures)
    steps = evaluation.run(count, batch, share)
    if share.rank == 0:
        steps = output.progress(steps, f"evaluating {evaluation.name}", total=len(share.of(count)))
    found = share.gathered(list(steps))
    share.closed()
    if share.rank:
        return
    figures, details = evaluation.measure(found, backend)
    if results is not None:
        evaluation.write_results(Path(results), found)
    drawn = evaluation.draw_worst(Path(worst), found) if worst is not None else []
    if confusion is not None:
        write_confusion(Path(confusion), details.confusion)
    if output_format == "json":
        told = {"model": evaluation.name, "data": data, "split": split, "pictures": count, "figures": figures}
        told["classes"] = details.classes
        told["confusion"] = None if details.confusion is None else asdict(details.confusion)
        output.echo_json({**told, "worst": [str(path) for path in drawn]})
        return
    click.echo(f"{evaluation.name} on {count} pictures of {data} ({split})")
    _echo(figures, details)
    for path in drawn:
        click.echo(f"drawn: {path}")


def _echo(figures: dict[str, float], details: Details) -> None:
    """Figures, those of the classes, and what was taken for what, as tables."""
    from registry_training.confusion import as_text

    rows = [[name, f"{value:.4f}"] for name, value in figures.items() if not (details.classes and "/" in name)]
    click.echo(output.table(rows, header=["FIGURE", "VALUE"], right=[1]))
    fullest = sorted(details.classes.values(), key=len, reverse=True)  # its order is that of the columns
    names = list(dict.fromkeys(name for each in fullest for name in each))
    if names:
        rows = [[label, *(_cell(each.get(name)) for name in names)] for label, each in details.classes.items()]
        if len(rows) > _CLASSES:
            rows = sorted(rows, key=lambda row: row[1])[:_CLASSES]
        header = ["CLASS", *map(str.upper, names)]
        click.echo("\n" + output.table(rows, header=header, right=range(1, len(header))))
        if len(details.classes) > len(rows):
            click.echo(f"the {len(rows)} lowest of {len(details.classes)} classes; all are in --format json")
    if details.confusion is not None and (text := as_text(details.confusion)):
        click.echo("\n" + text)


def _cell(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"
