"""`registry predict`: a model run on images."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.cli.image_ids import _listed, image_ids
from registry.diagnostics import SpecError
from registry.errors import ImageError, RegistryError, RegistryWarning
from registry.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

    from registry.assemble import InputRule
    from registry.predictor import Predictor
    from registry.registry import Registry
    from registry.specs import ModelSpec

#: Tells of a file that cannot be done, and why.
_Tell = Callable[[str, RegistryError], None]


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@options.model_settings
@click.option("--score", type=click.FloatRange(0, 1), help="Least score of an answer that is shown.")
@click.option("--top", type=click.IntRange(1, 1000), help="Most answers to name for each image.")
@click.option("--size", type=click.IntRange(1, 8192), help="Side in pixels to which images are resized.")
@click.option("--output", "folder", metavar="DIR", help="Write pictures of each image's answers into this folder.")
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

    A path that stands for no image, an image that cannot be read and one that the annotations do not list are reported
    on the error output, the others are done, and the exit code is 1.
    """
    from registry import default_registry
    from registry.image_files import find_images
    from registry.predictor import Predictor

    if folder is not None:
        _check_folder(folder)
    failures: list[dict[str, str]] = []
    tell = partial(_tell, failures)
    files = find_images(images, tell)
    _check_left(files, failures)
    registry = default_registry()
    given: dict[str, Any] = {"weights": weights, "num_classes": num_classes, "in_channels": in_channels}
    asked = {key: value for key, value in (("score", score), ("top", top), ("size", size)) if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RegistryWarning)  # loading the model tells them
        spec = registry.load_spec(model, overrides=assignments, **given)
        settings = [*assignments, *_followed(registry, model, spec, assignments, asked, given)]
    task = registry.task(spec)
    known = ("text", "json", *task.formats)
    if output_format not in known:
        raise click.BadParameter(f"`{output_format}` is none of {', '.join(known)}", param_hint="--format")
    if annotations is not None and output_format in ("text", "json"):
        raise click.UsageError(f"`--annotations` numbers images, which `{output_format}` does not")
    ids = _numbered(files, annotations, tell) if output_format in task.formats else {}
    files = [file for file in files if file in ids] if output_format in task.formats else files
    _check_left(files, failures)
    predictor = Predictor.load(
        registry, model, sha256=sha256, overrides=settings, adapt_input=adapt_input, device=device, **given
    )
    results, pictures = _run(predictor, files, folder, output_format, ids, tell)
    if output_format == "json":
        output.echo_json({"model": predictor.spec.name, "results": results, "failures": failures})
    elif output_format != "text":
        output.echo_json(results)
    elif pictures:
        click.echo(f"{pictures} picture{'s' if pictures > 1 else ''} in {folder}")
    if failures:
        sys.exit(1)


def _check_folder(folder: str) -> None:
    """Pictures need a folder, or a place where it can be made.

    Raises:
        click.BadParameter: a file is there.
    """
    there = next((path for path in (Path(folder), *Path(folder).parents) if os.path.lexists(path)), None)
    if there is not None and not there.is_dir():
        hint = "name a folder, which is made where there is none"
        raise click.BadParameter(f"{str(there)!r} is a file; {hint}", param_hint="--output")


def _tell(failures: list[dict[str, str]], file: str, problem: RegistryError) -> None:
    failures.append({"file": file, "error": str(problem)})
    click.echo(f"error: {problem}", err=True)


def _check_left(files: list[Path], failures: list[dict[str, str]]) -> None:
    """Ends the run where every image failed before the model was needed; one failure was told already."""
    if files:
        return
    if len(failures) == 1:
        sys.exit(1)
    raise RegistryError("no image is left to predict")


def _numbered(files: list[Path], annotations: str | None, tell: _Tell) -> dict[Path, int]:
    """The ids of the files, without those that the annotations do not list.

    Raises:
        RegistryError: the annotations cannot be read, or two files are one image to them.
    """
    try:
        return image_ids(files, annotations)  # the usual case reads the annotations, which may be large, once
    except RegistryError:
        known = {} if annotations is None else _listed(Path(annotations))
        missing = [file for file in files if file.name not in known]
        if annotations is None or not missing:
            raise
    for file in missing:
        tell(str(file), ImageError(f"{annotations} lists no image `{file.name}`"))
    return image_ids([file for file in files if file.name in known], annotations)


def _followed(
    registry: Registry,
    model: str,
    spec: ModelSpec,
    assignments: tuple[str, ...],
    asked: dict[str, Any],
    given: dict[str, Any],
) -> list[str]:
    """Assignments by which the model's task and head follow the options of prediction.

    Raises:
        click.UsageError: neither part follows one of them, or the part does not take its value.
    """
    found: list[str] = []
    for option, value in asked.items():
        followed = spec.settings_for(option, value)
        if not followed:
            raise click.UsageError(f"`--{option}` means nothing to the task `{spec.task.type}`")
        found += [f"{key}={json.dumps(setting)}" for key, setting in followed.items()]
        try:
            registry.load_spec(model, overrides=[*assignments, *found], **given)
        except SpecError as error:
            reason = "; ".join(diagnostic.message for diagnostic in error.diagnostics)
            raise click.BadParameter(f"{value} is refused: {reason}", param_hint=f"--{option}") from None
    return found


def _run(
    predictor: Predictor,
    files: list[Path],
    folder: str | None,
    output_format: str,
    ids: dict[Path, int],
    tell: _Tell,
) -> tuple[list[dict[str, Any]], int]:
    """Results of the images that could be read, and how many pictures; of the others is told as they come."""
    task = predictor.task
    taken = {os.path.abspath(file).casefold() for file in files}  # no picture takes the place of an image
    results: list[dict[str, Any]] = []
    count = 0
    own_output = output_format == "text" and sys.stdout.isatty()
    for file in output.progress(files, "predicting", total=len(files), shown=not own_output):
        try:
            image, result = predictor.predict(file)
        except ImageError as error:
            tell(str(file), error)
            continue
        written: list[str] = []
        if folder is not None:
            pictures = task.pictures(image, result)
            names = _free_names(Path(folder), file.name, list(pictures), taken)
            written = [
                str(_write_picture(picture, path)) for picture, path in zip(pictures.values(), names, strict=True)
            ]
            count += len(written)
        if output_format == "text":
            click.echo(f"{file}\n{_indented(task.as_text(result))}")
        elif output_format == "json":
            kept = {"picture": written[0], "pictures": written} if written else {}
            results.append({"file": str(file), **task.as_data(result), **kept})
        else:
            results += task.as_format(output_format, result, ids[file])
    return results, count


def _free_names(folder: Path, name: str, endings: list[str], taken: set[str]) -> list[Path]:
    """A path for each ending; where an earlier file had the name, all get the same number."""
    number = 1
    while True:
        stem = name if number == 1 else f"{name}-{number}"
        paths = [folder / f"{stem}{ending}" for ending in endings]
        keys = {os.path.abspath(path).casefold() for path in paths}  # some file systems ignore letter case
        if not keys & taken:
            taken |= keys
            return paths
        number += 1


def _write_picture(picture: Image.Image, path: Path) -> Path:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
