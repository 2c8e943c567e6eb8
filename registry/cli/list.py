"""`registry list`: which models there are."""

from __future__ import annotations

import fnmatch
from collections import Counter
from typing import TYPE_CHECKING

import click

from registry.catalog.summary import Summary
from registry.cli import options, output
from registry.specs import PART_KINDS

if TYPE_CHECKING:
    from registry.registry import Registry


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--task", metavar="TASK", help="Only models of this task.")
@click.option(
    "--sort",
    type=click.Choice(["name", "task", "params", "macs", "accuracy", "metric"]),
    default="name",
    show_default=True,
    help="Order; `accuracy`, or `metric`, puts the best first, apart for each metric.",
)
@click.option("--kind", type=click.Choice(PART_KINDS), help="List parts of this kind instead: types and documents.")
@options.output_format
def command(pattern: str, task: str | None, sort: str, kind: str | None, output_format: str) -> None:
    """List the models, or the parts of one kind, whose name or alias matches PATTERN, such as '*_large*'."""
    from registry import default_registry

    if kind is not None:
        _list_parts(default_registry(), kind, pattern, output_format)
        return
    summaries = sorted(default_registry().library.summaries(pattern, task=task), key=_order(sort))
    if output_format == "json":
        output.echo_json([summary._asdict() for summary in summaries])
        return
    if not summaries:
        click.echo(f"no model matches `{pattern}`" + (f" with the task `{task}`" if task else ""), err=True)
        return
    twice = Counter(s.name for s in summaries)
    rows = [
        [
            f"{s.distribution}/{s.name}" if twice[s.name] > 1 else s.name,
            s.task or "?",
            output.count(s.parameters),
            output.count(s.macs),
            _shown(s),
            s.problem or s.summary,
        ]
        for s in summaries
    ]
    click.echo(output.table(rows, header=["NAME", "TASK", "PARAMS", "MACS", "METRIC", "SUMMARY"], right=[2, 3]))


def _list_parts(registry: Registry, kind: str, pattern: str, output_format: str) -> None:
    """Types that can be written in a document, and documents that can be named."""
    types = [("type", part.type, part.origin) for part in registry.host.parts if part.kind == kind]
    listed = [("document", one.name, one.origin) for one in registry.library.catalog.listed if one.kind == kind]
    rows = [
        {"what": what, "name": name, "distribution": origin.distribution if origin else "", "kind": kind}
        for what, name, origin in sorted(types + listed, key=lambda row: (row[0], row[1]))
        if fnmatch.fnmatchcase(name, pattern)
    ]
    if output_format == "json":
        output.echo_json(rows)
    elif not rows:
        click.echo(f"no {kind} matches `{pattern}`", err=True)
    else:
        cells = [[row["name"], row["what"], row["distribution"]] for row in rows]
        click.echo(output.table(cells, header=["NAME", "WHAT", "DISTRIBUTION"]))


def _shown(summary: Summary) -> str:
    return "" if summary.metric is None else f"{summary.metric[0]} {summary.metric[1]:g}"


def _order(sort: str):  # type: ignore[no-untyped-def]
    key = {"params": "parameters", "accuracy": "metric"}.get(sort, sort)

    def order(summary: Summary) -> tuple[bool, object, str]:
        value = getattr(summary, key)
        if key == "metric":  # values of different metrics cannot be compared
            return value is None, (value[0], -value[1]) if value else (), summary.name
        return value is None, value or 0 if key in ("parameters", "macs") else value, summary.name

    return order
