"""`registry diff`: what differs between two specs, by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from registry.catalog import KINDS, dotted
from registry.catalog.diff import Comparison, Consequence, Difference, Side, compare
from registry.cli import options, output
from registry.cli.explain import origin, shown
from registry.specs import FeatureMap

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
#: Characters of a list or mapping that are shown where they are not what is compared.
_FEW = 72


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--kind", type=click.Choice(KINDS), default="model", show_default=True, help="Kind of the documents.")
@click.option("--all", "everything", is_flag=True, help="Also compare names, summaries, references and figures.")
@click.option("--exit-code", is_flag=True, help="End with 1 where they differ.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting of B, such as backbone.width_mult=0.5.",
)
@options.output_format
@click.pass_context
def command(
    context: click.Context,
    a: str,
    b: str,
    kind: str,
    everything: bool,
    exit_code: bool,
    assignments: tuple[str, ...],
    output_format: str,
) -> None:
    """Print what differs between A and B, names or paths of specs or checkpoints, whatever the way they are written."""
    from registry import default_registry

    registry = default_registry()
    left, right = registry.explain(a, kind=kind), registry.explain(b, overrides=list(assignments), kind=kind)
    comparison = compare(left, right, everything=everything, categories=registry.categories)
    if output_format == "json":
        given = {"a": {"given": a, "name": left.name}, "b": {"given": b, "name": right.name, "set": list(assignments)}}
        output.echo_json({**given, **_as_data(comparison)})
    else:
        click.echo("\n".join(_report(comparison)))
    if exit_code and comparison.differences:
        context.exit(1)


def _report(comparison: Comparison) -> Iterator[str]:
    if not comparison.differences:
        yield "same"
        return
    lines = list(_settings(comparison.differences))
    width = min(72, max(len(text) for _, text, _ in lines))
    for mark, text, place in lines:
        grey = click.style(f"# {place}", dim=True) if place else ""
        yield f"{click.style(text.ljust(width), fg=_COLOURS.get(mark))}  {grey}" if place else text
    if comparison.consequences:
        yield "\nconsequences"
    for consequence in comparison.consequences:
        yield f"  {_LABELS[consequence.name]:<13}  {_change(*_told(consequence))}"
    if comparison.feature_maps:
        yield "\nfeature maps"
        rows = [_row(change) for change in comparison.feature_maps]
        yield from (f"  {line}" for line in output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE"]).splitlines())


def _settings(differences: tuple[Difference, ...]) -> Iterator[tuple[str, str, str]]:
    """Mark, text and origin of each line; what only one of two types has stands below its type."""
    for (of, side), group in groupby(differences, lambda d: (d.of, d.of is not None and d.b is None)):
        indent = "" if of is None else "    "
        if of is not None:
            yield "", f"  {dotted(of) or 'settings'} of {'A' if side else 'B'}", ""
        for difference in group:
            mark, text, place = _line(difference)
            yield mark, f"{indent}{mark} {text}", place


def _line(difference: Difference) -> tuple[str, str, str]:
    a, b = difference.a, difference.b
    if a is not None and b is not None:
        return "~", f"{_both_paths(a, b)}: {_change(_value(a), _value(b))}", f"{origin(a.origin)} -> {origin(b.origin)}"
    only = a or b
    assert only is not None
    return "-" if b is None else "+", f"{dotted(only.path)}: {_value(only)}", origin(only.origin)


def _both_paths(a: Side, b: Side) -> str:
    """The path in A; a row that is another one in B with both numbers: `blocks.3(4).stride`."""
    return ".".join(str(one) if one == other else f"{one}({other})" for one, other in zip(a.path, b.path, strict=True))


def _value(side: Side) -> str:
    text = shown(side.value)
    cut = isinstance(side.value, (dict, list)) and len(text) > _FEW
    return text[: _FEW - 3] + "..." if cut else text


def _change(a: str, b: str) -> str:
    return f"{a} -> {b}"


_LABELS = {"parameters": "parameters", "macs": "multiply-adds", "classes": "classes", "image_size": "image size"}


def _told(consequence: Consequence[Any]) -> tuple[str, str]:
    """Both values in words, exact where rounding would hide the difference."""
    values = consequence.a, consequence.b
    if consequence.name == "image_size":
        a, b = ("any" if value is None else f"{value[0]}x{value[1]}" for value in values)
    elif consequence.name == "macs" and output.count(values[0]) != output.count(values[1]):
        a, b = ("not published" if value is None else output.count(value) for value in values)
    else:
        a, b = ("not published" if value is None else f"{value:,.0f}" for value in values)
    return a, b


def _row(change: Consequence[FeatureMap]) -> list[str]:
    cells = [("-", "-") if m is None else (str(m.channels), str(m.stride)) for m in (change.a, change.b)]
    return [change.name, *(a if a == b else _change(a, b) for a, b in zip(*cells, strict=True))]


def _as_data(comparison: Comparison) -> dict[str, Any]:
    return {
        "kind": comparison.a.kind,
        "same": not comparison.differences,
        "differences": [
            {
                "path": dotted(difference.path),
                "b_path": dotted(difference.b.path) if difference.b is not None else None,
                "a": _plain(difference.a),
                "b": _plain(difference.b),
                "a_origin": _origin(difference.a),
                "b_origin": _origin(difference.b),
            }
            for difference in comparison.differences
        ],
        "feature_maps": [
            {"name": change.name, "a": _map(change.a), "b": _map(change.b)} for change in comparison.feature_maps
        ],
        "consequences": {change.name: {"a": change.a, "b": change.b} for change in comparison.consequences},
    }


def _plain(side: Side | None) -> object:
    return None if side is None else side.value


def _origin(side: Side | None) -> str | None:
    """`file:line`, `default`, or None where a document has no such setting."""
    if side is None:
        return None
    return "default" if side.origin is None else f"{side.origin.file}:{side.origin.line}"


def _map(feature: FeatureMap | None) -> dict[str, Any] | None:
    return None if feature is None else feature.model_dump(exclude={"name"})
