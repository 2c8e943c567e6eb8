"""What a model weighs and costs: parameters, multiply-adds, bytes on disk, published accuracy."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from registry.assemble import elements, measure
from registry.catalog import is_checkpoint
from registry.current import default_registry
from registry.errors import RegistryError
from registry.specs import ModelSpec

if TYPE_CHECKING:
    from registry_benchmark.runs import Run


def counts(run: Run) -> dict[str, Any]:
    """`parameters` and `macs`, multiply-adds of one image; None where they cannot be counted.

    A module of torch is counted on its own input, as torch's flop counter counts, halved; of an exported file, the model that
    it was made from is.
    """
    if run.artefact is None:
        counter = FlopCounterMode(display=False)
        with torch.enable_grad(), counter:  # torch names what it counts by hooks on gradients
            run.module(*run.arguments)
        found = elements(run.module)["parameters"]
        macs = counter.get_total_flops() // 2 // run.batch
        return {"parameters": found or None, "macs": macs if found else None}  # operators on integers are not counted
    assert run.spec is not None  # every artefact carries it
    if run.partial:
        return {"parameters": None, "macs": None}
    registry = default_registry()
    height, width = run.told()["image"]
    try:
        found = measure(registry.host, run.spec, registry.task(run.spec), (height, width))
    except RegistryError:
        return {"parameters": None, "macs": None}
    return {"parameters": found.parameters, "macs": found.macs}


def bytes_of(run: Run) -> int:
    """Bytes on disk: of a file, or of the state dict as torch would save it."""
    if run.artefact is not None:
        return run.artefact.size
    if run.subject.kind == "model" and is_checkpoint(run.subject.reference):
        return Path(run.subject.reference).expanduser().stat().st_size
    counter: Any = _Counter()
    torch.save(run.module.state_dict(), counter)
    return int(counter.bytes)


def published(spec: ModelSpec, weights: str | None) -> dict[str, float]:
    """Published accuracy of the weights, or of the model's default ones where others are used."""
    named = weights if weights in spec.weights else spec.default_weights
    return dict(spec.weights[named].metrics) if named in spec.weights else {}


class _Counter(io.RawIOBase):
    """Counts what is written to it."""

    bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def tell(self) -> int:
        return self.bytes

    def fileno(self) -> int:
        raise OSError(os.strerror(9))
