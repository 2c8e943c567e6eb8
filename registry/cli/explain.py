"""`registry explain`: the merged spec, each value with the place that set it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from registry.catalog import KINDS, Explanation, dotted
from registry.catalog.explain import Default, Keys
from registry.cli import options, output
from registry.cli.settled import depending_on_weights
from registry.source import Span
from registry.source.scalars import resolve
from registry.specs import BackboneSpec, ModelSpec

if TYPE_CHECKING:
    from registry.assemble import Measurement

#: A side of the image, where neither task nor head says one.
_SIDE = 224


@click.command("explain")
@click.argument("document")
@click.option("--kind", type=click.Choice(KINDS), default="model", show_default=True, help="Kind of the document.")
@click.option("--defaults", is_flag=True, help="Also list the settings that nobody wrote.")
@click.option("--measure", "measured", is_flag=True, help="Count parameters and multiply-adds; needs torch.")
@options.overrides
@options.output_format
def command(
    document: str, kind: str, defaults: bool, measured: bool, assignments: tuple[str, ...], output_format: str
) -> None:
    """Print every setting of DOCUMENT, a name or a path, with the file and line that set it."""
    from registry import default_registry

    if measured and kind != "model":
        raise click.UsageError(f"--measure counts a model, and this is a {kind}")
    explanation = default_registry().explain(document, overrides=list(assignments), kind=kind)
    measurement = _measure(explanation) if measured else None
    if output_format == "json":
        output.echo_json(_as_data(explanation, measurement, defaults))
        return
    lines = list(_lines(explanation, defaults))
    width = min(72, max((len(setting) for setting, _ in lines), default=0))
    for setting, place in lines:
        click.echo(f"{setting:<{width}}  # {place}")
    backbone = explanation.spec.backbone if isinstance(explanation.spec, ModelSpec) else explanation.spec
    if isinstance(backbone, BackboneSpec):
        depending = list(depending_on_weights(backbone))
        if depending:
            click.echo("\ndepending on weights")
        for key, text in depending:
            click.echo(f"  {key}  {text}")
    figures = list(_figures(explanation, measurement))
    if figures:
        click.echo("\nfigures")
    for label, text in figures:
        click.echo(f"  {label:<9}  {text}")
    if explanation.features:
        click.echo("\nfeature maps")
        rows = [[f.name, str(f.channels), str(f.stride), f.module] for f in explanation.features]
        click.echo(output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "MODULE"], right=[1, 2]))


def _measure(explanation: Explanation) -> Measurement:
    from registry import default_registry
    from registry.assemble import measure
    from registry.assemble.construct import require_torch

    require_torch("measuring a model")
    registry, spec = default_registry(), explanation.spec
    assert isinstance(spec, ModelSpec)
    return measure(registry.host, spec, registry.task(spec), explanation.image_size() or (_SIDE, _SIDE))


def _lines(explanation: Explanation, defaults: bool) -> Iterator[tuple[str, str]]:
    """Each setting with its origin; a default after what was written of the same part."""
    after: dict[Keys, list[tuple[int, Default]]] = {}
    if defaults:
        # the last written setting that begins as a path does, for every beginning
        last = {s.path[:n]: s.path for s in explanation.settings for n in range(len(s.path) + 1)}
        for default in explanation.defaults():
            shared = next(n for n in range(len(default.path), -1, -1) if default.path[:n] in last)
            after.setdefault(last[default.path[:shared]], []).append((shared, default))
    for setting in explanation.settings:
        yield f"{dotted(setting.path)}: {shown(setting.value)}", origin(setting.span)
        for _, default in sorted(after.get(setting.path, ()), key=lambda item: -item[0]):
            yield f"{dotted(default.path)}: {shown(default.value)}", origin(None)


def _figures(explanation: Explanation, measurement: Measurement | None) -> Iterator[tuple[str, str]]:
    figures = explanation.figures()
    if figures is not None and (figures.parameters is not None or figures.macs is not None):
        source = f" ({figures.source})" if figures.source else ""
        yield "published", _counted(figures.parameters, figures.macs) + source
    if measurement is not None:
        height, width = measurement.image_size
        yield "measured", f"{_counted(measurement.parameters, measurement.macs)} at {height}x{width}"


def _counted(parameters: int | None, macs: float | None) -> str:
    told = [f"{parameters:,} parameters"] if parameters is not None else []
    told += [f"{output.count(macs)} multiply-adds"] if macs is not None else []
    return ", ".join(told)


def _as_data(explanation: Explanation, measurement: Measurement | None, defaults: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
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
    if defaults:
        data["defaults"] = [{"path": dotted(d.path), "value": d.value} for d in explanation.defaults()]
    figures = explanation.figures()
    data["published"] = figures.model_dump(mode="json") if figures is not None else None
    if measurement is not None:
        data["measured"] = asdict(measurement)
    return data


def origin(span: Span | None) -> str:
    """`file:line` of what set a value, or `default`."""
    return "default" if span is None else f"{output.short(span.file)}:{span.line}"


def shown(value: object, *, inside: bool = False) -> str:
    """A value as YAML writes it on one line; words stay bare unless they would be read as something else.

    Args:
        inside: True for what stands in a list or mapping, where commas and brackets have a meaning.
    """
    if isinstance(value, dict):
        items = (f"{shown(key, inside=True)}: {shown(item, inside=True)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item, inside=True) for item in value) + "]"
    if isinstance(value, str) and _is_bare(value, inside):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)  # such as codes that terminals obey


def _is_bare(text: str, inside: bool) -> bool:
    """True for a text that YAML reads as itself without quotes, and False in doubt."""
    try:
        is_text = isinstance(resolve(text), str)
    except ValueError:  # digits that are too many for a number
        return False
    marks = ": " in text or " #" in text or text[:1] in "-?:!&*|>'\"%@`#,[]{}=<~" or text[-1:] == ":"
    enclosed = inside and any(mark in ",[]{}:" for mark in text)
    return is_text and text.isprintable() and text == text.strip() and not marks and not enclosed
