"""`registry predict`: a model run on images."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.cli.image_ids import image_ids
from registry.errors import ImageError, RegistryError
from registry.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

    from registry.assemble import InputRule
    from registry.predictor import Predictor


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@options.model_settings
@click.option("--score", type=click.FloatRange(0, 1), help="Least score of an answer that is shown.")
@click.option("--top", type=click.IntRange(1, 1000), help="Most answers to name for each image.")
@click.option("--size", type=click.IntRange(1, 8192), help="Side in pixels to which images are resized.")
@click.option("--output", "folder", metavar="DIR", help="Write each image with its answers as a PNG into this folder.")
@click.option(
    "--format",
    "output_format",
    default="text",
    show_default=True,
    metavar="FORMAT",
    help="text, json, or a result format of the model's task.",
)
@click.option(
    "--annotations",
    metavar="FILE",
    help="JSON file whose list `images` gives each file_name its id, for result formats that number images.",
)
def command(
    model: str,
    images: tuple[str, ...],
    assignments: tuple[str, ...],
    weights: str | None,
    sha256: str | None,
    num_classes: int | None,
    in_channels: int | None,
    adapt_input: InputRule | None,
    device: str | None,
    score: float | None,
    top: int | None,
    size: int | None,
    folder: str | None,
    output_format: str,
    annotations: str | None,
) -> None:
    """Run MODEL, a name, a path or a checkpoint, on IMAGES: files, folders or quoted patterns.

    An image that cannot be read is reported, the others are done, and the exit code is 1.
    """
    from registry import default_registry
    from registry.images import find_images
    from registry.predictor import Predictor

    files = find_images(images)
    registry = default_registry()
    settings: list[dict[str, Any]] = []
    asked = {"score": score, "top": top, "size": size}
    if any(value is not None for value in asked.values()):
        spec = registry.load_spec(
            model, overrides=list(assignments), num_classes=num_classes, in_channels=in_channels, weights=weights
        )
        for option, value in asked.items():
            followed = spec.settings_for(option, value) if value is not None else {}
            if value is not None and not followed:
                raise click.UsageError(f"`--{option}` means nothing to `{spec.name}`, whose task is `{spec.task.type}`")
            settings.append(followed)
    predictor = Predictor.load(
        registry,
        model,
        weights=weights,
        sha256=sha256,
        overrides=[*assignments, *(f"{key}={value}" for part in settings for key, value in part.items())],
        num_classes=num_classes,
        in_channels=in_channels,
        adapt_input=adapt_input,
        device=device,
    )
    known = ("text", "json", *predictor.task.formats)
    if output_format not in known:
        raise click.BadParameter(f"`{output_format}` is none of {', '.join(known)}", param_hint="--format")
    ids = image_ids(files, annotations) if output_format in predictor.task.formats or annotations else {}
    results, failures = _run(predictor, files, folder, output_format, ids)
    if output_format == "json":
        output.echo_json({"model": predictor.spec.name, "results": results, "failures": failures})
    elif output_format in predictor.task.formats:
        output.echo_json(results)
    elif folder is not None and results:
        click.echo(f"{len(results)} pictures in {folder}")
    if failures:
        sys.exit(1)


def _run(
    predictor: Predictor, files: list[Path], folder: str | None, output_format: str, ids: dict[Path, int]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Results of the images that could be read, and failures of the others, which are told as they come."""
    names, task = _picture_names(files), predictor.task
    results: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for file in _with_progress(files):
        try:
            image, result = predictor.predict(file)
        except ImageError as error:
            failures.append({"file": str(file), "error": str(error)})
            click.echo(f"error: {error}", err=True)
            continue
        entry: dict[str, Any] = {"file": str(file), **task.as_data(result)}
        if folder is not None:
            for ending, picture in task.pictures(image, result).items():
                written = str(_write_picture(picture, Path(folder), f"{names[file]}{ending}"))
                entry.setdefault("picture", written)
                entry.setdefault("pictures", []).append(written)
        if output_format in task.formats:
            results += task.as_format(output_format, result, ids[file])
            continue
        results.append(entry)
        if output_format == "text":
            click.echo(f"{file}\n{_indented(task.as_text(result))}")
    return results, failures


def _with_progress(files: list[Path]) -> Iterator[Path]:
    """The files, with a progress bar where a person watches the error output and results go elsewhere."""
    if len(files) < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield from files
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(files, description="predicting", console=Console(stderr=True))


def _picture_names(files: list[Path]) -> dict[Path, str]:
    """A name in the output folder for each file; files of one name in several folders get a number."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for file in files:
        name, number = file.name, 2
        while name in taken:
            name, number = f"{file.name}-{number}", number + 1
        taken.add(name)
        names[file] = name
    return names


def _write_picture(picture: Image.Image, folder: Path, name: str) -> Path:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, buffer.getvalue())
    except OSError as error:
        raise RegistryError(f"{folder / name} cannot be written: {error.strerror or error}") from error
    return folder / name


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
