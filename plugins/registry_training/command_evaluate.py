"""`registry evaluate`: figures of a model on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from registry import default_registry
from registry.assemble import require_torch
from registry.cli import options, output


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
    output_format: str,
) -> None:
    """Measure MODEL, a checkpoint or a name with --weights, on a data set.

    Every answer counts, whatever its score. Settings of the data set: --set dataset.KEY=VALUE.
    """
    require_torch("measuring a model")
    from registry_training.evaluation import Evaluation

    registry = default_registry()
    settings: dict[str, Any] = {
        "weights": weights,
        "sha256": sha256,
        "num_classes": num_classes,
        "in_channels": in_channels,
        "adapt_input": adapt_input,
        "device": device,
    }
    evaluation = Evaluation.open(registry, model, data, split, assignments, settings)
    count = min(limit or evaluation.pictures, evaluation.pictures)
    found = list(output.progress(evaluation.run(count, batch), f"evaluating {evaluation.name}", total=count))
    figures = evaluation.figures(found)
    if results is not None:
        evaluation.write_results(Path(results), found)
    drawn = evaluation.draw_worst(Path(worst), found) if worst is not None else []
    if output_format == "json":
        data_out = {"model": evaluation.name, "data": data, "split": split, "pictures": count, "figures": figures}
        output.echo_json({**data_out, "worst": [str(path) for path in drawn]})
        return
    click.echo(f"{evaluation.name} on {count} pictures of {data} ({split})")
    rows = [[name, f"{value:.4f}"] for name, value in figures.items()]
    click.echo(output.table(rows, header=["FIGURE", "VALUE"], right=[1]))
    for path in drawn:
        click.echo(f"drawn: {path}")
