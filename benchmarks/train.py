"""How fast training goes, against a minimal loop around torchvision's own model on the same data.

Run: python benchmarks/train.py [--rounds N] [--steps N] [--batch N] [--workers N]. Both loops train MobileNetV3-Small at 224
pixels by the same RMSprop on the same JPEG photographs with the same crops and flips, each for a number of steps in turn, on
the same cores; medians of images a second are printed, and ours as a fraction of the minimal loop's. Two more lines tell what
bounds a run: how many images a second the loading alone yields, with as many worker processes, and the step alone takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from accelerate import Accelerator
from registry_data.image_folder import build as build_folder
from registry_data.specs import ImageFolderSpec
from registry_recipes.augment import after_input, augmentation
from registry_recipes.specs import TrainingSpec
from registry_training.loading import Samples, batches_from
from registry_training.order import Order
from registry_training.plan import Plan
from registry_training.state import Position
from registry_training.trainer import Trainer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import registry

SIDE, CLASSES = 224, 4
SETTINGS = [
    "recipe=imagenet_mnv3_rmsprop",
    "task.categories=null",
    "recipe.start=random",
    "recipe.augmentation={kind: classification, size: 224, flip: 0.5}",
    "recipe.averaging=null",
    "recipe.rate=0.001",
    "recipe.reference_batch=null",
]


def photographs(root: Path, count: int) -> None:
    """JPEG files of 500x375 pixels, cut from photographs of scikit-image, in a folder for each class and split."""
    from PIL import Image
    from skimage import data

    sources = [
        Image.fromarray(getattr(data, name)()).convert("RGB") for name in ("astronaut", "coffee", "chelsea", "rocket")
    ]
    for split in ("train", "val"):
        for label, source in enumerate(sources):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count // CLASSES if split == "train" else 1):
                step = number % 16
                box = (step, step, source.width - step, source.height - step)
                source.resize((500, 375), box=box).save(folder / f"{number}.jpg", quality=90)


def minimal(root: Path, batch: int, workers: int) -> Callable[[], None]:
    """What a user would write without this package."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(root / "train"), transform), batch, shuffle=True, num_workers=workers, drop_last=True
    )
    model = torchvision.models.mobilenet_v3_small(num_classes=CLASSES).train()
    optimizer = torch.optim.RMSprop(
        model.parameters(), lr=0.001, alpha=0.9, eps=0.0316, momentum=0.9, weight_decay=1e-5
    )

    def run() -> None:
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            loss.item()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def ours(
    root: Path, batch: int, steps: int, workers: int
) -> tuple[Callable[[], None], Callable[[], Iterator[Any]], nn.Module]:
    """A run of this package's loop, its loading alone, and its model."""
    made = registry.default_registry()
    spec = made.load_spec(
        "mobilenet_v3_small", num_classes=CLASSES, overrides=[*SETTINGS, f"recipe.batch_size={batch}"]
    )
    recipe: Any = spec.recipe
    assert isinstance(recipe, TrainingSpec)
    data = ImageFolderSpec(root=str(root))
    dataset = build_folder(data, "train")
    built = made.build(spec)
    task = made.task(spec)
    order = Order(len(dataset), batch, 0, drop_last=True)
    trainer = Trainer(Plan(spec, recipe, data), built, task, order.steps(), Accelerator(cpu=True))
    change = augmentation(recipe, "classification", SIDE)
    samples = Samples(dataset, task, 0, change, after_input(recipe, "classification"))

    def run() -> None:
        trainer.position = Position()
        for _ in trainer.epoch(order, samples, workers):
            pass

    def load() -> Iterator[Any]:
        return batches_from(samples, 0, order.batches(0)[:steps], 0, workers)

    return run, load, built


def timed(call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds after one warm-up")
    parser.add_argument("--steps", type=int, default=8, help="steps of a round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="processes that load pictures; 0 loads between steps")
    parser.add_argument("--threads", type=int, default=1, help="of torch, for the model")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        photographs(root, asked.batch * asked.steps)
        theirs = minimal(root, asked.batch, asked.workers)
        run, load, model = ours(root, asked.batch, asked.steps, asked.workers)
        fixed = torch.randn(asked.batch, 3, SIDE, SIDE)

        def step_alone() -> None:
            for _ in range(asked.steps):
                F.cross_entropy(model(fixed), torch.zeros(asked.batch, dtype=torch.long)).backward()

        calls = {
            "minimal loop": theirs,
            "registry": run,
            "loading alone": lambda: list(load()),
            "forward and backward alone": step_alone,
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(asked.rounds + 1):
            for name, call in calls.items():
                seconds = timed(call)
                if number:
                    times[name].append(seconds)
    images = asked.batch * asked.steps
    print(f"{asked.batch} images a step, {asked.workers} workers, {asked.threads} threads, {cores} cores")
    print(f"{'':<28} {'images/s':>9} {'min':>7} {'max':>7}")
    for name, measured in times.items():
        middle = images / statistics.median(measured)
        print(f"{name:<28} {middle:>9.1f} {images / max(measured):>7.1f} {images / min(measured):>7.1f}")
    ratios = [theirs / own for theirs, own in zip(times["minimal loop"], times["registry"], strict=True)]
    print(f"registry / minimal loop: {statistics.median(ratios):.3f} (median of the rounds' ratios)")


if __name__ == "__main__":
    main()
