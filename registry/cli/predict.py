"""`registry predict`: a model run on images."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.errors import ImageError, RegistryError
from registry.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

    from registry.assemble import InputRule


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@options.model_settings
@click.option("--top", type=click.IntRange(min=1), help="How many answers to name for each image.")
@click.option("--output", "folder", metavar="DIR", help="Write each image with its answers as a PNG into this folder.")
@options.output_format
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
    top: int | None,
    folder: str | None,
    output_format: str,
) -> None:
    """Run MODEL, a name, a path or a checkpoint, on IMAGES: files, folders or quoted patterns.

    An image that cannot be read is reported, the others are done, and the exit code is 1.
    """
    from registry import default_registry
    from registry.images import find_images
    from registry.predictor import Predictor

    files = find_images(images)
    settings = [*assignments, *([f"task.top_k={top}"] if top is not None else [])]
    predictor = Predictor.load(
        default_registry(),
        model,
        weights=weights,
        sha256=sha256,
        overrides=settings,
        num_classes=num_classes,
        in_channels=in_channels,
        adapt_input=adapt_input,
        device=device,
    )
    names = _picture_names(files)
    results: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for file in _with_progress(files):
        try:
            image, result = predictor.predict(file)
        except ImageError as error:
            failures.append({"file": str(file), "error": str(error)})
            click.echo(f"error: {error}", err=True)
            continue
        entry = {"file": str(file), **predictor.task.as_data(result)}
        if folder is not None:
            entry["picture"] = str(_write_picture(predictor.task.draw(image, result), Path(folder), names[file]))
        results.append(entry)
        if output_format == "text":
            click.echo(f"{file}\n{_indented(predictor.task.as_text(result))}")
    if output_format == "json":
        output.echo_json({"model": predictor.spec.name, "results": results, "failures": failures})
    elif folder is not None and results:
        click.echo(f"{len(results)} pictures in {folder}")
    if failures:
        sys.exit(1)


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
        name, number = f"{file.name}.png", 2
        while name in taken:
            name, number = f"{file.name}-{number}.png", number + 1
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
