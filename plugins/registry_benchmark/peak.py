"""How many multiply-adds the cores do at most: the product of two float32 matrices, as torch's library computes it."""

from __future__ import annotations

import time
from typing import Any

import torch

from registry_benchmark.subjects import Subject

#: Side of the matrices; two of them fit in caches of a few megabytes in part, as blocks of a product do.
SIDE = 1024


class MatrixProduct:
    """Multiplies two square matrices into a third; what a `Run` does for a model."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        generator = torch.Generator().manual_seed(0)
        self._sides = [torch.rand(SIDE, SIDE, generator=generator) for _ in range(2)]
        self._made = torch.empty(SIDE, SIDE)

    def told(self) -> dict[str, Any]:
        """What it is."""
        return {"engine": f"torch {torch.__version__.partition('+')[0]}", "macs": SIDE**3, "notes": []}

    def timed(self) -> tuple[float, float]:
        """Seconds of one product, by the clock and of the processor."""
        processor, start = time.process_time(), time.perf_counter()
        torch.mm(*self._sides, out=self._made)
        return time.perf_counter() - start, time.process_time() - processor

    def counted(self) -> dict[str, Any]:
        """Multiply-adds of one product."""
        return {"macs": SIDE**3}

    def device_memory(self) -> int | None:
        """None: it runs on the CPU."""
        return None
