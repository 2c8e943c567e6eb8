"""What checking images and targets costs, as a share of a training step on one core.

    python benchmarks/input_checks.py

Steps and checks alternate in one process with one thread; medians are compared.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

import registry

ROUNDS = 15


def seconds(work: Any) -> float:
    """One run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, inputs: Any, targets: Any, check: Any, model: torch.nn.Module) -> None:
    """Prints both medians and their ratio."""
    spec: Any = model.spec
    task = registry.default_registry().task(spec)
    model.checks_inputs = False  # type: ignore[assignment]  # measured apart

    def step() -> None:
        model.zero_grad()
        torch.stack(list(task.losses(model, inputs, targets, spec.head).values())).sum().backward()

    step()
    steps, checks = [], []
    for _ in range(ROUNDS):
        steps.append(seconds(step))
        checks.append(seconds(check))
    one, other = statistics.median(steps), statistics.median(checks)
    print(f"{name:<32} step {1000 * one:8.1f} ms   check {1000 * other:6.3f} ms   {100 * other / one:.2f} %")


def main() -> None:
    """Detection and segmentation at their own sizes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = [torch.rand(3, 320, 400) for _ in range(2)]
    boxes = torch.tensor([[20.0, 30, 120, 200], [150, 40, 300, 260]])
    targets = [{"boxes": boxes, "labels": torch.tensor([1, 2])} for _ in images]
    for name in ("fasterrcnn_mnv3_large_320_fpn", "ssdlite320_mnv3_large"):
        model: Any = registry.build(name)
        compare(name, images, targets, lambda model=model: model.check_inputs(images, targets), model)
    batch, masks = torch.rand(2, 3, 320, 320), torch.randint(0, 21, (2, 320, 320))
    from registry_segmentation.checks import check_masks

    segmenter: Any = registry.build("lraspp_mnv3_large")

    def check() -> None:
        segmenter.check_inputs(batch)
        check_masks(masks, batch, 21, 255)

    compare("lraspp_mnv3_large", batch, masks, check, segmenter)


if __name__ == "__main__":
    main()
