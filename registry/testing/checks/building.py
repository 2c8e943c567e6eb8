"""Building: what `Registry.build` promises about random numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.tensors import difference, few, same_tensors


@model_check("backbone", "head")
def building_repeats_under_a_seed(bench: Bench) -> Iterator[str]:
    """The same seed gives the same parameters bit for bit, and leaves the generator in the same state."""
    import torch

    first = bench.build(seed=7).state_dict()
    after = torch.get_rng_state()
    second = bench.build(seed=7).state_dict()
    differing = same_tensors(first, second)
    if differing:
        yield f"two builds under one seed differ in {few(differing)}; draw from torch's global generator only"
    if not torch.equal(after, torch.get_rng_state()):
        yield "two builds under one seed leave torch's generator in different states"


@model_check("backbone", "head")
def building_without_drawing_leaves_the_generator(bench: Bench) -> Iterator[str]:
    """Building with weights and on the meta device leaves torch's random state as it was; the weights are then the model's."""
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    bench.registry.build(bench.spec, device="meta")
    if not torch.equal(before, torch.get_rng_state()):
        yield "building on the meta device moves torch's generator; initialise in `init`, or on the default device"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pth"
        torch.save(bench.model.state_dict(), file)
        torch.set_rng_state(before)
        loaded = bench.registry.build(bench.spec, weights=str(file)).eval()
    if not torch.equal(before, torch.get_rng_state()):
        yield "building with weights moves torch's generator"
    inputs, _ = bench.example(2)
    found = difference(run(bench.model, inputs), run(loaded, inputs))
    if found:
        yield f"a model with the weights of another differs from it: {found}"
