"""`registry export`: a model as a file that another engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry import default_registry
from registry.artefacts import is_artefact
from registry.assemble import require_torch
from registry.catalog import is_checkpoint
from registry.cli import options, output
from registry.cli.replacing import refuse_to_replace
from registry.errors import RegistryError
from registry_export import flow

if TYPE_CHECKING:
    from registry_export.flow import Exported


@click.command("export")
@click.argument("model")
@click.option(
    "--target", "target_name", required=True, metavar="TARGET", help="What to write: registry list --kind export."
)
@click.option("-o", "--output", "path", required=True, metavar="FILE", help="Where to write it.")
@click.option("--image", "images", multiple=True, metavar="FILE", help="Image to verify the file on; may be repeated.")
@click.option("--random-weights", is_flag=True, help="Export a model without weights, to measure its speed.")
@click.option("--dry-run", is_flag=True, help="Only hold the target against the model; builds and writes nothing.")
@options.model_settings
@options.output_format
def export(
    model: str,
    target_name: str,
    path: str,
    images: tuple[str, ...],
    random_weights: bool,
    dry_run: bool,
    assignments: tuple[str, ...],
    weights: str | None,
    sha256: str | None,
    num_classes: int | None,
    in_channels: int | None,
    adapt_input: Any,
    device: str | None,
    output_format: str,
) -> None:
    """Write MODEL, a name with --weights or a checkpoint, as a file that another engine runs.

    The file is compared with the model on real images before it gets its name; where they differ, nothing is written.
    Settings of the target: --set export.KEY=VALUE.
    """
    if device is not None and device != "cpu":
        raise click.BadParameter("models are exported on the CPU; leave it out", param_hint="--device")
    registry = default_registry()
    own = [text for text in assignments if not text.startswith("export.")]
    target = flow.target_spec(registry, target_name, assignments)
    given: dict[str, Any] = {"weights": weights, "num_classes": num_classes, "in_channels": in_channels}
    ready = is_artefact(registry, model)
    file = Path(path).expanduser()
    if ready and (own or any(value is not None for value in given.values())):
        raise click.UsageError("an artefact is what it is: only --set export.KEY=VALUE changes how it is written again")
    if not ready:
        flow.check(target, registry.load_spec(model, overrides=own, **given), file)
    refuse_to_replace([("--output", file)], [("an image to verify on", Path(image)) for image in images])
    if dry_run:
        output.echo_json({"target": target.type, "fits": True}) if output_format == "json" else click.echo("fits")
        return
    if not ready and weights is None and not is_checkpoint(model) and not random_weights:
        raise RegistryError(
            f"without weights the answers of `{model}` mean nothing; give --weights, or --random-weights to measure speed"
        )
    flow.check_installed(target)
    require_torch("exporting a model")
    flow.check_companions(file, getattr(target, "companions", ()))
    with flow.draft(file):  # tells of a folder that cannot be written before anything is built
        pass
    with output.status(f"building {model}"):
        if ready:
            module = registry.load_artefact(model)
        else:
            module = registry.build(model, overrides=own, sha256=sha256, adapt_input=adapt_input, **given)
    with output.status(f"exporting to {target.type}"):
        done = flow.exported(registry, module.eval(), target, file, images=images)
    if output_format == "json":
        output.echo_json(done.as_data())
    else:
        click.echo("\n".join(told_lines(done)))


def told_lines(done: Exported) -> list[str]:
    """What a person reads of an export."""
    lines = [f"{done.path}: {done.size / 1e6:.2f} MB"]
    found = done.verification
    if found is None:
        return [*lines, "not verified: the target does not load its files"]
    agreement = "" if found.far.agreement is None else f", {found.far.agreement:.2%} of answers agree"
    far = f"largest difference {found.far.largest:.3g}, a share of {found.far.share:.2g}"
    lines.append(f"verified on {found.images} images: {far}{agreement}")
    if found.cases:
        cases = ", ".join(f"{count} with {name}" for name, count in found.cases.items())
        lines.append(f"images with few detections: {cases}")
    if found.left_out:
        lines.append(f"left out, of another size than the file takes: {', '.join(found.left_out)}")
    if done.artefact is not None and done.artefact.parts:
        lines.append(f"in parts: {', '.join(done.artefact.parts)}; what is between them runs in torch")
    if done.delegation is not None:
        taken, all_of_them = done.delegation["delegated"], done.delegation["operators"]
        lines.append(f"delegated: {taken} of {all_of_them} operators ({taken / max(all_of_them, 1):.1%})")
        for name, count in done.delegation["not_delegated"].items():
            lines.append(f"  not delegated: {name} ({count})")
    return lines
