"""`registry predict`: a model run on images."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.cli.image_ids import image_ids
from registry.cli.pictures import Pictures, check_folder
from registry.diagnostics import SpecError
from registry.errors import ImageError, RegistryError, RegistryWarning

if TYPE_CHECKING:
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
    """Run MODEL, a name, a path, a checkpoint or an artefact, on IMAGES: files, folders or quoted patterns.

    A path that stands for no image, an image that cannot be read, one that the annotations do not list and a picture
    that cannot be written are reported on the error output, the others are done, and the exit code is 1. Pictures
    replace those of earlier runs, and no other file.
    """
    from registry import default_registry
    from registry.artefacts import is_artefact
    from registry.image_files import find_images
    from registry.predictor import Predictor

    if folder is not None:
        check_folder(folder)
    failures: list[dict[str, str]] = []
    tell = partial(_tell, failures)
    files = find_images(images, tell)
    _check_left(files, failures)
    registry = default_registry()
    given: dict[str, Any] = {"weights": weights, "num_classes": num_classes, "in_channels": in_channels}
    asked = {key: value for key, value in (("score", score), ("top", top), ("size", size)) if value is not None}
    ready = is_artefact(registry, model)
    more = {"sha256": sha256, "adapt_input": adapt_input, "device": device}
    predictor = Predictor.load(registry, model, overrides=assignments, **more, **given) if ready else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RegistryWarning)  # loading the model tells them
        reference: ModelSpec | str = model if predictor is None else predictor.spec
        spec = registry.load_spec(reference, overrides=assignments, **given)
        settings = [*assignments, *_followed(registry, reference, spec, assignments, asked, given)]
    task = registry.task(spec) if predictor is None else predictor.task
    known = ("text", "json", *task.formats)
    if output_format not in known:
        raise click.BadParameter(f"`{output_format}` is none of {', '.join(known)}", param_hint="--format")
    if annotations is not None and output_format in ("text", "json"):
        raise click.UsageError(f"`--annotations` numbers images, which `{output_format}` does not")
    ids = image_ids(files, annotations, tell) if output_format in task.formats else {}
    files = [file for file in files if file in ids] if output_format in task.formats else files
    _check_left(files, failures)
    if predictor is None or asked:
        predictor = Predictor.load(registry, model, overrides=settings, **more, **given)
    pictures = None if folder is None else Pictures(folder, files, tell)
    results = _run(predictor, files, pictures, output_format, ids, tell)
    if output_format == "json":
        output.echo_json({"model": predictor.spec.name, "results": results, "failures": failures})
    elif output_format != "text":
        output.echo_json(results)
    elif pictures is not None and pictures.count:
        click.echo(output.printable(f"{pictures.count} picture{'s' if pictures.count > 1 else ''} in {folder}"))
    if failures:
        sys.exit(1)


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


def _followed(
    registry: Registry,
    model: ModelSpec | str,
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
    pictures: Pictures | None,
    output_format: str,
    ids: dict[Path, int],
    tell: _Tell,
) -> list[dict[str, Any]]:
    """Results of the images that could be read; of the others is told as they come."""
    task = predictor.task
    results: list[dict[str, Any]] = []
    # between results on the same terminal there is room for a bar only while it waits
    one_by_one = len(files) == 1 or (output_format == "text" and sys.stdout.isatty())
    for file in output.progress(files, "predicting", total=len(files), shown=not one_by_one):
        try:
            with output.status(f"predicting {file}", shown=one_by_one):
                image, result = predictor.predict(file)
        except ImageError as error:
            tell(str(file), error)
            continue
        drawn = {} if pictures is None else task.pictures(image, result)
        written = {} if pictures is None else pictures.write(file, drawn)
        if output_format == "text":
            click.echo(output.printable(f"{file}\n{_indented(task.as_text(result))}"))
        elif output_format == "json":
            kept: dict[str, Any] = {"pictures": list(written.values())} if written else {}
            if drawn and (first := next(iter(drawn))) in written:
                kept = {"picture": written[first], **kept}
            results.append({"file": str(file), **task.as_data(result), **kept})
        else:
            results += task.as_format(output_format, result, ids[file])
    return results


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
