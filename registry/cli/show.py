"""`registry show`: a model described for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from registry.cli import options, output
from registry.cli.settled import depending_on_weights
from registry.specs import FeatureMap, Finding, ModelSpec

#: How many class names are shown.
_FEW = 5


@click.command("show")
@click.argument("model")
@options.overrides
@options.output_format
def command(model: str, assignments: tuple[str, ...], output_format: str) -> None:
    """Describe MODEL, a name or a path: what it is made of, its published figures, weights and feature maps."""
    from registry import default_registry

    registry = default_registry()
    explanation = registry.explain(model, overrides=list(assignments))
    spec = explanation.spec
    assert isinstance(spec, ModelSpec)
    categories = registry.categories(spec.task)
    if output_format == "json":
        known = {
            "feature_maps": [feature.model_dump() for feature in explanation.features],
            "inner_maps": [feature.model_dump() for feature in spec.backbone.inner_maps()],
            "category_names": categories,
            "notes": [asdict(note) for note in _notes(spec)],
            "digest": spec.digest(),
        }
        output.echo_json({**spec.model_dump(mode="json"), **known})
        return
    click.echo("\n".join(_described(spec, explanation.features, categories)))


def _notes(spec: ModelSpec) -> list[Finding]:
    """Warnings that the author of the document knows about and silenced."""
    return [finding for finding in spec.check() if finding.severity != "error" and finding.rule in spec.accepts]


def _described(spec: ModelSpec, features: tuple[FeatureMap, ...], categories: tuple[str, ...] | None) -> Iterator[str]:
    yield f"{spec.name}: {spec.summary}" if spec.summary else spec.name
    facts = [
        ("also known as", ", ".join(spec.aliases)),
        ("task", spec.task.type),
        ("backbone", f"{spec.backbone.type}, {spec.backbone.in_channels} input channels"),
        ("head", f"{spec.head.type}, {spec.head.num_classes} classes" if spec.head.tells_classes else spec.head.type),
        ("quantization", spec.quantization.type if spec.quantization is not None else ""),
        ("categories", _counted(categories) if categories is not None else ""),
        ("parameters", f"{spec.figures.parameters:,}" if spec.figures.parameters is not None else ""),
        ("multiply-adds", output.count(spec.figures.macs) if spec.figures.macs is not None else ""),
        ("figures from", spec.figures.source or ""),
    ]
    facts += depending_on_weights(spec.backbone)
    yield from (f"  {label:<16}  {text}" for label, text in facts if text)
    for title, maps in (("feature maps", features), ("maps inside blocks", spec.backbone.inner_maps())):
        if maps:
            rows = [[feature.name, str(feature.channels), str(feature.stride), feature.module] for feature in maps]
            yield f"\n{title}"
            yield _indented(output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "MODULE"], right=[1, 2]))
    notes = _notes(spec)
    if notes:
        yield "\nnotes"
    for note in notes:
        yield f"  {note.message} [{note.rule}]"
        if note.suggestion:
            yield f"    {note.suggestion}"
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
            if weights.license:
                yield f"    license: {weights.license}"
    if spec.backbone_weights is not None:
        digest = f"  sha256 {spec.backbone_weights.sha256}" if spec.backbone_weights.sha256 else ""
        yield f"\nbackbone weights\n  {spec.backbone_weights.source}{digest}"
    if spec.references:
        yield "\nreferences"
        yield from (f"  {reference.title}: {reference.url}" for reference in spec.references)


def _counted(names: tuple[str, ...]) -> str:
    """How many names, and the first of them."""
    shown = ", ".join(names[:_FEW])
    return f"{len(names)}: {shown}" + (", …" if len(names) > _FEW else "")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
