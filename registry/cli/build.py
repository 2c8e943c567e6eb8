"""`registry build`: a model put together, counted and tried."""

from __future__ import annotations

import json
import shlex
import warnings
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.errors import RegistryWarning

if TYPE_CHECKING:
    from registry.assemble import InputRule, Measurement
    from registry.specs import ModelSpec


@click.command("build")
@click.argument("model")
@options.model_settings
@click.option(
    "--backbone-weights", metavar="W", help="What the backbone alone starts from: `default`, a file or a reference."
)
@click.option(
    "--size", type=click.IntRange(1, 16384), help="Side of the measured image.  [default: the model's own, or 224]"
)
@click.option("--check", is_flag=True, help="Run one forward and check that its outputs are finite.")
@click.option("--save", "save_to", metavar="FILE.safetensors", help="Write the model as a checkpoint.")
@options.output_format
def command(
    model: str,
    assignments: tuple[str, ...],
    weights: str | None,
    sha256: str | None,
    num_classes: int | None,
    in_channels: int | None,
    adapt_input: InputRule | None,
    device: str | None,
    backbone_weights: str | None,
    size: int | None,
    check: bool,
    save_to: str | None,
    output_format: str,
) -> None:
    """Build MODEL, a name or a path, and report its parameters, multiply-adds and feature maps."""
    from registry import default_registry
    from registry.assemble import check_forward, elements, measure

    registry = default_registry()
    given: dict[str, Any] = {
        "weights": weights,
        "overrides": list(assignments),
        "num_classes": num_classes,
        "in_channels": in_channels,
    }
    if size:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RegistryWarning)  # building tells them
            _check_size(registry.load_spec(model, **given), size)
    module = registry.build(
        model, sha256=sha256, backbone_weights=backbone_weights, adapt_input=adapt_input, device=device, **given
    )
    spec: ModelSpec = module.spec  # type: ignore[assignment]
    task = registry.task(spec)
    image = (size, size) if size else spec.head.image_size() or spec.task.image_size() or (224, 224)
    measurement = replace(measure(registry.host, spec, task, image), **elements(module))
    outcome = check_forward(module, task, image) if check else None
    saved = str(registry.save(module, save_to)) if save_to else None
    if output_format == "json":
        output.echo_json({"name": spec.name, **asdict(measurement), "check": outcome, "saved": saved})
        return
    click.echo("\n".join(_report(spec, measurement, outcome, saved)))


def _check_size(spec: ModelSpec, size: int) -> None:
    """A head that resizes images computes on its own size, whatever it is given.

    Raises:
        click.BadParameter: its size is another one.
    """
    own = spec.head.image_size()
    if own in (None, (size, size)):
        return
    followed = {f"head.{key}": value for key, value in spec.head.settings_for("size", size).items()}
    written = " ".join(f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in followed.items())
    hint = f"; write {written}" if written else ""
    text = f"the head resizes images to {own[0]}x{own[1]} itself, so {size}x{size} would not be measured{hint}"
    raise click.BadParameter(text, param_hint="--size")


def _report(spec: ModelSpec, measured: Measurement, outcome: str | None, saved: str | None) -> Any:
    height, width = measured.image_size
    yield f"{spec.name}: {spec.backbone.type} + {spec.head.type}"
    frozen = measured.parameters - measured.trainable
    yield f"  parameters     {measured.parameters:,}" + (f" ({frozen:,} frozen)" if frozen else "")
    yield f"  size           {measured.size_mb:.2f} MB"
    remark = (
        " (they can depend on what the image shows; published figures may differ)" if spec.head.depends_on_image else ""
    )
    yield f"  multiply-adds  {output.count(measured.macs)} at {height}x{width}{remark}"
    strides = {feature.name: feature.stride for feature in spec.backbone.feature_maps()}
    rows = [[f.name, str(f.channels), str(strides[f.name]), f"{f.height}x{f.width}"] for f in measured.features]
    table = output.table(rows, header=["LEVEL", "CHANNELS", "STRIDE", "SIZE"], right=[1, 2])
    yield from (f"  {line}" for line in table.splitlines())
    if outcome is not None:
        yield f"  forward        {outcome}, all finite"
    if saved is not None:
        yield f"  saved to       {saved}"
