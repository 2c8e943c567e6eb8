"""`registry show`: a model described for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from registry.cli import options, output
from registry.cli.settled import depending_on_weights
from registry.specs import FeatureMap, ModelSpec


@click.command("show")
@click.argument("model")
@options.overrides
@options.output_format
def command(model: str, assignments: tuple[str, ...], output_format: str) -> None:
    """Describe MODEL, a name or a path: what it is made of, its published figures, weights and feature maps."""
    from registry import default_registry

    explanation = default_registry().explain(model, overrides=list(assignments))
    spec = explanation.spec
    assert isinstance(spec, ModelSpec)
    if output_format == "json":
        features = [feature.model_dump() for feature in explanation.features]
        output.echo_json({**spec.model_dump(mode="json"), "feature_maps": features, "digest": spec.digest()})
        return
    click.echo("\n".join(_described(spec, explanation.features)))


def _described(spec: ModelSpec, features: tuple[FeatureMap, ...]) -> Iterator[str]:
    yield f"{spec.name}: {spec.summary}" if spec.summary else spec.name
    facts = [
        ("also known as", ", ".join(spec.aliases)),
        ("task", spec.task.type),
        ("backbone", f"{spec.backbone.type}, {spec.backbone.in_channels} input channels"),
        ("head", f"{spec.head.type}, {spec.head.num_classes} classes"),
        ("parameters", f"{spec.figures.parameters:,}" if spec.figures.parameters is not None else ""),
        ("multiply-adds", output.count(spec.figures.macs) if spec.figures.macs is not None else ""),
        ("figures from", spec.figures.source or ""),
    ]
    yield from (f"  {label:<14} {text}" for label, text in facts if text)
    yield from (f"  {label:<14} {text}" for label, text in depending_on_weights(spec.backbone))
    yield "\nfeature maps"
    rows = [[feature.name, str(feature.channels), str(feature.stride), feature.module] for feature in features]
    yield _indented(output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "MODULE"], right=[1, 2]))
    inner = spec.backbone.inner_maps()
    if inner:
        yield "\nmaps inside blocks, asked for by name"
        rows = [[feature.name, str(feature.channels), str(feature.stride), feature.module] for feature in inner]
        yield _indented(output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "MODULE"], right=[1, 2]))
    notes = [finding for finding in spec.check() if finding.rule in spec.accepts]
    if notes:
        yield "\nnotes"
        yield from (f"  {finding.message} [{finding.rule}]" for finding in notes)
    if spec.weights:
        yield "\nweights"
        for name, weights in spec.weights.items():
            default = " (default)" if name == spec.default_weights else ""
            metrics = ", ".join(f"{metric} {value:g}" for metric, value in weights.metrics.items())
            yield f"  {name}{default}  {metrics}".rstrip()
            yield f"    {weights.source}" + (f"  sha256 {weights.sha256}" if weights.sha256 else "")
            if weights.task:
                yield f"    task settings: {weights.task}"
            if weights.recipe:
                yield f"    recipe: {weights.recipe}"
            if weights.licence:
                yield f"    licence: {weights.licence}"
    if spec.backbone_weights is not None:
        yield f"\nbackbone weights, for training\n  {spec.backbone_weights.source}"
    if spec.references:
        yield "\nreferences"
        yield from (f"  {reference.title}: {reference.url}" for reference in spec.references)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
