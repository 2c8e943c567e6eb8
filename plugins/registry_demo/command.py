"""`registry demo`: from the catalog to a trained checkpoint and its answers, offline."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import click

from registry import Registry, RegistryError, default_registry
from registry.files import write_atomically

MODEL = "mobilenet_v3_digits"


@click.command("demo")
@click.option("--output", "folder", default="demo-output", show_default=True, metavar="DIR", help="Where results go.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the training.")
@click.option("--epochs", type=click.IntRange(1, 1000), default=20, show_default=True, help="Passes over the digits.")
def demo(folder: str, seed: int, epochs: int) -> None:
    """Train, save and use a small model on real handwritten digits; takes a few minutes and needs no network."""
    out = Path(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(f"the folder {out} cannot be made: {error.strerror or error}") from error
    registry = default_registry()
    report: dict[str, Any] = {**_catalog(registry), **_builds(registry)}
    report.update(_digits(registry, out, seed, epochs))
    _write(out / "report.json", json.dumps(report, indent=2).encode())
    _say("8. The figures")
    for key, value in report.items():
        shown = f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
        click.echo(f"   {key.replace('_', ' '):<30} {shown}")
    click.echo(f"\nLook at {out / 'digits.png'}")


def _catalog(registry: Registry) -> dict[str, Any]:
    _say("1. The models of the catalog")
    for name in registry.list_models():
        click.echo(f"   {name}")
    explained = "mobilenet_v3_large_075"
    _say(f"2. Where the settings of {explained} come from")
    settings = registry.explain(explained).settings
    for setting in (s for s in settings if s.path[-1] in ("width_mult", "hidden_channels", "crop", "dropout")):
        key = ".".join(map(str, setting.path))
        click.echo(f"   {key}: {setting.value}  ({Path(setting.span.file).name}:{setting.span.line})")
    _say("3. The whole catalog, validated")
    started = time.perf_counter()
    problems = registry.validate()
    seconds = time.perf_counter() - started
    documents = len(registry.library.catalog.documents)
    click.echo(f"   {documents} documents, {len(problems)} problems, {1000 * seconds:.0f} ms")
    return {"documents": documents, "problems": len(problems)}


def _builds(registry: Registry) -> dict[str, Any]:
    from registry.assemble import measure

    _say("4. MobileNetV3, built")
    figures: dict[str, Any] = {}
    for name in ("mobilenet_v3_large", "mobilenet_v3_small"):
        started = time.perf_counter()
        spec: Any = registry.build(name).spec
        seconds = time.perf_counter() - started
        measured = measure(registry.host, spec, registry.task(spec), (224, 224))
        click.echo(
            f"   {name}: {measured.parameters:,} parameters, {measured.macs / 1e6:.0f} M multiply-adds, {1000 * seconds:.0f} ms"
        )
        figures[f"{name}_parameters"] = measured.parameters
    return figures


def _digits(registry: Registry, out: Path, seed: int, epochs: int) -> dict[str, Any]:
    import torch

    from registry.predictor import Predictor
    from registry_demo.digits import load_splits
    from registry_demo.figure import COLUMNS, ROWS, draw_digits
    from registry_demo.training import accuracy, inputs_of, train

    training, held_out = load_splits(seed)
    _say(f"5. Training {MODEL} on {len(training)} handwritten digits, {len(held_out)} held out")
    torch.manual_seed(seed)
    model = registry.build(MODEL)
    spec: Any = model.spec
    task = registry.task(spec)
    inputs, tests = inputs_of(task, training), inputs_of(task, held_out)
    started = time.perf_counter()
    losses = train(model, inputs, training.labels, epochs=epochs, generator=torch.Generator().manual_seed(seed))
    reached = 0.0
    for epoch, loss in enumerate(losses, start=1):
        reached = accuracy(model, tests, held_out.labels)
        click.echo(f"   epoch {epoch:>2}  loss {loss:.3f}  held-out top-1 {100 * reached:.1f} %")
    seconds = time.perf_counter() - started

    _say("6. The checkpoint")
    path = registry.save(model, out / "digits.safetensors")
    click.echo(f"   {path}, {path.stat().st_size / 1e6:.2f} MB, spec included")

    _say("7. Built again from the checkpoint, on held-out pictures")
    predictor = Predictor(registry.build(path), task)
    answers = [predictor.predict(held_out.png(index))[1].top[0].label for index in range(len(held_out))]
    truths = [str(label) for label in held_out.labels.tolist()]
    right = sum(answer == truth for answer, truth in zip(answers, truths, strict=True))
    click.echo(f"   {right} of {len(truths)} read right ({100 * right / len(truths):.1f} %)")
    wrong_first = sorted(range(len(truths)), key=lambda i: answers[i] == truths[i])[: COLUMNS * ROWS // 6]
    shown = (wrong_first + [i for i in range(len(truths)) if i not in wrong_first])[: COLUMNS * ROWS]
    title = f"{right} of {len(truths)} held-out digits read right; mistakes first"
    pictures = [held_out.picture(index) for index in shown]
    sheet = draw_digits(pictures, [answers[i] for i in shown], [truths[i] for i in shown], title)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    _write(out / "digits.png", buffer.getvalue())
    return {
        "digits_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "digits_top1": reached,
        "digits_top1_from_checkpoint": right / len(truths),
        "training_seconds": seconds,
        "checkpoint_mb": path.stat().st_size / 1e6,
    }


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error


def _say(text: str) -> None:
    click.echo(f"\n{text}")
