"""The second half of the demonstration: a detector that finds digits on photographs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import torch

from registry import Registry
from registry.predictor import Predictor
from registry_demo.detector import ap50, train_detector
from registry_demo.digits import load_splits
from registry_demo.figure import draw_scenes
from registry_demo.output import say, write_picture
from registry_demo.scenes import make_scenes

MODEL = "fasterrcnn_digits"
_TRAINING, _HELD_OUT, _SHOWN = 320, 60, 9


def detect_digits(registry: Registry, out: Path, seed: int, epochs: int) -> dict[str, Any]:
    """Trains, saves, builds again and uses the detector; writes `boxes.safetensors` and `boxes.png`."""
    digits, unseen = load_splits(seed)
    training = make_scenes(digits, _TRAINING, held_out=False, seed=seed)
    held_out = make_scenes(unseen, _HELD_OUT, held_out=True, seed=seed)
    say(f"Training {MODEL} on {len(training)} photographs with digits, {len(held_out)} others held out")
    torch.manual_seed(seed)
    model = registry.build(MODEL)
    spec: Any = model.spec
    task = registry.task(spec)
    started = time.perf_counter()
    for epoch, loss in enumerate(train_detector(model, task, spec.head, training, epochs=epochs, seed=seed), start=1):
        click.echo(f"   epoch {epoch:>2}  loss {loss:.3f}  {time.perf_counter() - started:.0f} s")
    seconds = time.perf_counter() - started
    path = registry.save(model, out / "boxes.safetensors")
    click.echo(f"   {path}, {path.stat().st_size / 1e6:.2f} MB, spec included")

    say("Built again from the checkpoint, on held-out photographs")
    predictor = Predictor(registry.build(path), task)
    precision = ap50(predictor, spec, held_out)
    click.echo(f"   average precision at an overlap of 0.5 (AP50): {precision:.3f}")
    found = []
    for scene in held_out[:_SHOWN]:
        with torch.inference_mode():
            output = predictor.model(task.collate([task.preprocess(scene.picture)]))
        result = task.postprocess(output, [(scene.picture.height, scene.picture.width)])[0]
        found.append(task.draw(scene.picture, result))
    write_picture(out / "boxes.png", draw_scenes(found, f"Digits found on held-out photographs, AP50 {precision:.2f}"))
    return {
        "boxes_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "boxes_ap50_from_checkpoint": precision,
        "boxes_training_seconds": seconds,
    }
