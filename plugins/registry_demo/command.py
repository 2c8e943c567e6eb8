"""`registry demo`: from the catalog to trained checkpoints and their answers, offline."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from registry import Registry, RegistryError, default_registry
from registry.errors import MissingExtraError
from registry_demo.output import say, write

_BUILT = ("mobilenet_v3_large", "mobilenet_v3_small", "fasterrcnn_mnv3_large_320_fpn", "lraspp_mnv3_large")


@click.command("demo")
@click.option("--output", "folder", default="demo-output", show_default=True, metavar="DIR", help="Where results go.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of split and training."
)
@click.option("--epochs", type=click.IntRange(1, 1000), default=20, show_default=True, help="Passes over the digits.")
@click.option(
    "--detector-epochs", type=click.IntRange(1, 1000), default=8, show_default=True, help="Passes over the scenes."
)
def demo(folder: str, seed: int, epochs: int, detector_epochs: int) -> None:
    """Train, save and use a classifier and a detector on real handwritten digits; a few minutes, no network."""
    out = Path(folder)
    _prepare(out)
    from registry_demo.classify import classify_digits
    from registry_demo.detect import detect_digits

    registry = default_registry()
    report: dict[str, Any] = {**_catalog(registry), **_builds(registry)}
    report.update(classify_digits(registry, out, seed, epochs))
    report.update(detect_digits(registry, out, seed, detector_epochs))
    write(out / "report.json", json.dumps(report, indent=2).encode())
    say("The figures")
    for key, value in report.items():
        shown = f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
        click.echo(f"   {key.replace('_', ' '):<45} {shown}")
    click.echo(f"\nLook at {out / 'digits.png'} and {out / 'boxes.png'}")


def _prepare(out: Path) -> None:
    """Everything that would stop the demonstration half-way is looked at before it starts."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(f"the folder {out} cannot be made: {error.strerror or error}") from error
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise RegistryError(f"the folder {out} cannot be written to: {error.strerror or error}") from error
    for module, package, extra in (
        ("torchvision", "torchvision", "torch"),
        ("sklearn.datasets", "scikit-learn", "demo"),
        ("skimage.data", "scikit-image", "demo"),
        ("pycocotools.coco", "pycocotools", "demo"),
    ):
        try:
            __import__(module)
        except ImportError as error:
            raise MissingExtraError("the demonstration", extra, package) from error


def _catalog(registry: Registry) -> dict[str, Any]:
    say("The models of the catalog")
    for name in registry.list_models():
        click.echo(f"   {name}")
    explained = "fasterrcnn_mnv3_large_320_fpn"
    say(f"Where some settings of {explained} come from")
    settings = registry.explain(explained).settings
    wanted = ("min_size", "post_nms_top_n_test", "post_nms_top_n_train", "trainable_stages")
    for setting in (s for s in settings if s.path[-1] in wanted):
        key = ".".join(map(str, setting.path))
        click.echo(f"   {key}: {setting.value}  ({Path(setting.span.file).name}:{setting.span.line})")
    say("The whole catalog, validated")
    started = time.perf_counter()
    problems = registry.validate()
    seconds = time.perf_counter() - started
    documents = len(registry.library.catalog.documents)
    click.echo(f"   {documents} documents, {len(problems)} problems, {1000 * seconds:.0f} ms")
    return {"documents": documents, "problems": len(problems)}


def _builds(registry: Registry) -> dict[str, Any]:
    say("Models, built")
    registry.build("mobilenet_v3_digits")  # what torch does once per process is none of the models' time
    figures: dict[str, Any] = {}
    for name in _BUILT:
        started = time.perf_counter()
        model = registry.build(name)
        seconds = time.perf_counter() - started
        count = sum(parameter.numel() for parameter in model.parameters())
        click.echo(f"   {name}: {count:,} parameters, {1000 * seconds:.0f} ms")
        figures[f"{name}_parameters"] = count
        figures[f"{name}_build_seconds"] = seconds
    return figures
