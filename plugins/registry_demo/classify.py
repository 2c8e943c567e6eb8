"""The first half of the demonstration: a classifier that reads single digits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import torch

from registry import Registry, RegistryError
from registry.predictor import Predictor
from registry_demo.digits import Split, load_splits
from registry_demo.figure import COLUMNS, ROWS, draw_digits
from registry_demo.output import say, write_picture
from registry_demo.training import accuracy, inputs_of, train

MODEL = "mobilenet_v3_digits"


def classify_digits(registry: Registry, out: Path, seed: int, epochs: int) -> dict[str, Any]:
    """Trains, saves, builds again and uses the classifier; writes `digits.safetensors` and `digits.png`."""
    training, held_out = load_splits(seed)
    say(f"Training {MODEL} on {len(training)} handwritten digits, {len(held_out)} held out")
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
    path = registry.save(model, out / "digits.safetensors")
    click.echo(f"   {path}, {path.stat().st_size / 1e6:.2f} MB, spec included")

    say("Built again from the checkpoint, on held-out pictures")
    again = registry.build(path)
    with torch.inference_mode():
        if not torch.equal(again.eval()(tests), model.eval()(tests)):
            raise RegistryError("the model built from the checkpoint answers otherwise than the one that was trained")
    predictor = Predictor(again, task)
    read = [predictor.predict(held_out.png(index))[1].top[0].label for index in range(len(held_out))]
    right = sum(one == str(truth) for one, truth in zip(read, held_out.labels.tolist(), strict=True))
    click.echo(f"   {right} of {len(read)} read right ({100 * right / len(read):.1f} %)")
    write_picture(out / "digits.png", _sheet(held_out, read, right))
    return {
        "digits_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "digits_top1": reached,
        "digits_top1_from_checkpoint": right / len(read),
        "digits_training_seconds": seconds,
        "digits_checkpoint_mb": path.stat().st_size / 1e6,
    }


def _sheet(held_out: Split, read: list[str], right: int) -> Any:
    truths = [str(label) for label in held_out.labels.tolist()]
    wrong_first = sorted(range(len(truths)), key=lambda i: read[i] == truths[i])[: COLUMNS * ROWS // 6]
    shown = (wrong_first + [i for i in range(len(truths)) if i not in wrong_first])[: COLUMNS * ROWS]
    title = f"{right} of {len(truths)} held-out digits read right; mistakes first"
    pictures = [held_out.picture(index) for index in shown]
    return draw_digits(pictures, [read[i] for i in shown], [truths[i] for i in shown], title)
