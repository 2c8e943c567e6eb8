"""`registry benchmark`: models and exported files timed against each other on the same cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from registry import default_registry
from registry.assemble import require_torch
from registry.cli import options, output
from registry.errors import RegistryError
from registry.files import write_atomically
from registry_benchmark import cores, misuse, tables
from registry_benchmark.asked import Asked
from registry_benchmark.plotting import check_plot
from registry_benchmark.subjects import PRECISIONS


@click.command("benchmark")
@click.argument("models", nargs=-1, metavar="[MODEL|ARTEFACT]...")
@click.option("--baseline", metavar="MODEL", help="What ratios are against.  [default: the first MODEL]")
@click.option(
    "--suite", metavar="NAME", help="A list of models with published figures, such as mobilenetv3, or its file."
)
@click.option("--table", "only", multiple=True, metavar="NAME", help="Only this table of the suite; may be repeated.")
@click.option(
    "--use", multiple=True, metavar="ROW=FILE", help="What a row of the suite runs instead: an artefact, a model."
)
@click.option(
    "--threads", type=click.IntRange(1, 4096), default=1, show_default=True, help="Threads, each with a core."
)
@click.option("--runs", type=click.IntRange(1), help="Counted runs of each.  [default: 30; a suite's own]")
@click.option("--warmup", type=click.IntRange(1), default=3, show_default=True, help="Runs before that do not count.")
@click.option("--batch", type=click.IntRange(1, 65536), default=1, show_default=True, help="Images at once.")
@click.option("--part", metavar="NAME", help="Time a part alone of a model that is split, such as a detector's dense.")
@click.option("--size", metavar="N|HxW", help="Size of the images in pixels.  [default: the model's own]")
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="Where torch runs, such as cuda.")
@click.option("--channels-last", is_flag=True, help="Keep channels innermost in memory.")
@click.option("--compile", "compiled", is_flag=True, help="Run what torch.compile makes of the model.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Of torch's mixed precision.",
)
@options.overrides
@click.option(
    "--weights", multiple=True, metavar="[MODEL=]W", help="Weights of all models, or of one; may be repeated."
)
@click.option("--random-weights", is_flag=True, help="Time models without weights.")
@click.option(
    "--data", multiple=True, metavar="[TASK=]DATA", help="Measure accuracy on this data set's validation split."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures of it.")
@click.option(
    "--peak", is_flag=True, help="Also measure the most multiply-adds that the cores do, and hold times to them."
)
@click.option("--plot", metavar="FILE.png", help="Draw accuracy, or multiply-adds, against time.")
@click.option("-o", "--output", "path", metavar="FILE", help="Write the report there and not to the terminal.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Output.",
)
def benchmark(
    models: tuple[str, ...],
    baseline: str | None,
    suite: str | None,
    only: tuple[str, ...],
    use: tuple[str, ...],
    threads: int,
    runs: int | None,
    warmup: int,
    batch: int,
    part: str | None,
    size: str | None,
    device: str,
    channels_last: bool,
    compiled: bool,
    precision: str,
    assignments: tuple[str, ...],
    weights: tuple[str, ...],
    random_weights: bool,
    data: tuple[str, ...],
    limit: int | None,
    peak: bool,
    plot: str | None,
    path: str | None,
    output_format: str,
) -> None:
    """Time models and exported files against each other.

    MODEL is a name with --weights or --random-weights, a document, a checkpoint, an artefact, or torchvision:NAME for a model
    of torchvision itself. A name may carry options of its own: resnet50+compile+bfloat16, +channels-last.

    Each is run by a process of its own, held to the same cores. They take turns, so that never two run at once and slow
    changes of the machine meet all alike; ratios are of medians.
    """
    asked = Asked(
        threads=threads,
        cores=cores.chosen(threads),
        runs=runs,
        warmup=warmup,
        batch=batch,
        part=part,
        size=size,
        device=device,
        channels_last=channels_last,
        compiled=compiled,
        precision=precision,
        assignments=assignments,
        weights=weights,
        random_weights=random_weights,
        data=data,
        limit=limit,
        peak=peak,
    )
    file, picture = misuse.checked_output("--output", path), misuse.checked_output("--plot", plot)
    if picture is not None:
        check_plot(picture)
    registry = default_registry()
    read = [*models, *([] if baseline is None else [baseline]), *(text.partition("=")[2] for text in use)]
    misuse.refuse_to_overwrite(registry, {"--output": file, "--plot": picture}, read, weights, data, suite)
    misuse.refuse_useless(registry, [*models, *([] if baseline is None else [baseline])], assignments, weights, data)
    misuse.check_data(registry, data)
    if suite is None:
        for name, given in (("--table", only), ("--use", use)):
            if given:
                raise click.UsageError(f"{name} is for a --suite")
        if not models:
            raise click.UsageError("name a MODEL, or a --suite")
        text = _plain(models, baseline, asked, picture, output_format)
    else:
        own = [text for text in assignments if not text.startswith("dataset.")]
        if models or baseline is not None or own or size is not None or batch != 1 or part:
            raise click.UsageError("a suite names its own models, baselines, images and settings; leave them out")
        text = _suite(suite, only, use, asked, picture, output_format)
    text = output.printable(text)
    if file is None:
        click.echo(text)
        return
    try:
        write_atomically(file, f"{text}\n".encode())
    except OSError as error:
        raise RegistryError(f"{file} cannot be written: {error.strerror or error}") from error


def _plain(models: tuple[str, ...], baseline: str | None, asked: Asked, picture: Path | None, form: str) -> str:
    from registry_benchmark.plotting import draw, panel_of

    subjects, first = asked.subjects(default_registry(), models, baseline)
    require_torch("timing a model")
    report = asked.report(subjects, first)
    if picture is not None:
        draw([panel_of(report.rows)], picture)
    if form == "json":
        return _json(report.as_data())
    return tables.as_text(report) if form == "text" else tables.as_markdown(report)


def _suite(
    name: str, only: tuple[str, ...], use: tuple[str, ...], asked: Asked, picture: Path | None, form: str
) -> str:
    from registry_benchmark import suite_tables
    from registry_benchmark.plotting import draw
    from registry_benchmark.suite import read
    from registry_benchmark.suite_runs import run

    suite = read(name)
    registry = default_registry()
    chosen, replaced = suite.chosen(only), suite.replaced(use)
    misuse.refuse_rows(suite, chosen, replaced)
    for word in replaced.values():
        asked.checked(registry, word)
    asked.check_data(registry, random=not asked.weights and not replaced)
    require_torch("timing a model")
    found = run(registry, chosen, asked, replaced)
    if picture is not None:
        draw(suite_tables.panels(found), picture)
    if form == "json":
        return _json(suite_tables.as_data(found))
    return suite_tables.as_text(found) if form == "text" else suite_tables.as_markdown(found)


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2)  # in ASCII, as names of files may hold bytes that are not UTF-8
