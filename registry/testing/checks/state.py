"""A model's state: saved, loaded and copied without a change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.tensors import difference, few, same_tensors

if TYPE_CHECKING:
    from torch import nn


@model_check("backbone", "head")
def state_dict_makes_models_equal(bench: Bench) -> Iterator[str]:
    """A state dict fits a second model strictly, whose outputs are then equal."""
    inputs, _ = bench.example(2)
    other = bench.build(seed=1).eval()
    try:
        other.load_state_dict(bench.model.state_dict(), strict=True)
    except RuntimeError as error:
        yield f"the state dict of one model does not fit another of the same spec: {error}"
        return
    found = difference(run(bench.model, inputs), run(other, inputs))
    if found:
        yield f"models of one state dict differ: {found}; keep what is random in a parameter or a persistent buffer"


def _pickled(model: nn.Module) -> nn.Module:
    copied: nn.Module = pickle.loads(pickle.dumps(model))
    return copied


@model_check("backbone", "head")
def copies_are_equal_and_apart(bench: Bench) -> Iterator[str]:
    """Deep copies and pickled copies give equal outputs, and share no parameter with the model."""
    inputs, _ = bench.example(2)
    before = run(bench.model, inputs)
    ways: tuple[tuple[str, Callable[[nn.Module], nn.Module]], ...] = (
        ("copy.deepcopy", copy.deepcopy),
        ("pickle", _pickled),
    )
    for what, make in ways:
        try:
            twin = make(bench.model)
        except Exception as error:  # the plugin's code
            yield f"{what} of the model failed: {type(error).__name__}: {error}; keep lambdas and open files out of modules"
            continue
        differing = same_tensors(bench.model.state_dict(), twin.state_dict())
        if differing:
            yield f"{what} changes {few(differing)}"
        found = difference(before, run(twin, inputs))
        if found:
            yield f"the model and its {what} differ: {found}"
        mine = {name: parameter.data_ptr() for name, parameter in bench.model.named_parameters() if parameter.numel()}
        shared = [name for name, parameter in twin.named_parameters() if mine.get(name) == parameter.data_ptr()]
        if shared:
            yield f"{what} shares {few(shared)} with the model; do not override __deepcopy__ or __reduce__ for that"
