"""`registry explain`: the merged spec, each value with the place that set it."""

from __future__ import annotations

import json
from typing import Any

import click

from registry.catalog import KINDS, Explanation, dotted
from registry.cli import options, output
from registry.cli.settled import depending_on_weights
from registry.specs import BackboneSpec, ModelSpec


@click.command("explain")
@click.argument("document")
@click.option("--kind", type=click.Choice(KINDS), default="model", show_default=True, help="Kind of the document.")
@options.overrides
@options.output_format
def command(document: str, kind: str, assignments: tuple[str, ...], output_format: str) -> None:
    """Print every setting of DOCUMENT, a name or a path, with the file and line that set it."""
    from registry import default_registry

    explanation = default_registry().explain(document, overrides=list(assignments), kind=kind)
    if output_format == "json":
        output.echo_json(_as_data(explanation))
        return
    lines = [
        (f"{dotted(s.path)}: {_shown(s.value)}", f"{output.short(s.span.file)}:{s.span.line}")
        for s in explanation.settings
    ]
    width = min(72, max((len(setting) for setting, _ in lines), default=0))
    for setting, origin in lines:
        click.echo(f"{setting:<{width}}  # {origin}")
    backbone = explanation.spec.backbone if isinstance(explanation.spec, ModelSpec) else explanation.spec
    if isinstance(backbone, BackboneSpec):
        depending = list(depending_on_weights(backbone))
        if depending:
            click.echo("\ndepending on weights")
        for key, text in depending:
            click.echo(f"  {key}  {text}")
    if explanation.features:
        click.echo("\nfeature maps")
        rows = [[f.name, str(f.channels), str(f.stride), f.module] for f in explanation.features]
        click.echo(output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "MODULE"], right=[1, 2]))


def _as_data(explanation: Explanation) -> dict[str, Any]:
    return {
        "kind": explanation.kind,
        "name": explanation.name,
        "settings": [
            {
                "path": dotted(s.path),
                "value": s.value,
                "file": s.span.file,
                "line": s.span.line,
                "column": s.span.column,
            }
            for s in explanation.settings
        ],
        "feature_maps": [feature.model_dump() for feature in explanation.features],
        "spec": explanation.spec.model_dump(mode="json"),
    }


def _shown(value: object) -> str:
    """A value as YAML's flow style writes it; words stay bare."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
