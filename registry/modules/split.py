"""A model that cannot be traced whole, as parts that can, and what runs between them.

A head that says `exportable = False` may give its model a method `split()`. Exporters and quantization schemes use that method
alone and know no head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn


class Call(Protocol):
    """Runs a part: its name and its tensors, to the tensors that it returns."""

    def __call__(self, name: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Outputs of the part, always as a tuple."""


@dataclass(frozen=True)
class Axis:
    """An axis of a part's input whose length changes from call to call.

    Attributes:
        name: axes of one name have one length.
        low, high: least and greatest length, multiples of `step`.
        step: what the length is a multiple of.
    """

    name: str
    low: int
    high: int
    step: int = 1


class Split(ABC):
    """The parts of a model and what runs between them.

    Attributes:
        parts: modules by name, `dense` first. Each takes tensors and returns a tuple of tensors, and can be traced. They share
            their parameters with the model. A part may be replaced by one that computes the same differently.
    """

    parts: dict[str, nn.Module]

    @abstractmethod
    def examples(self, inputs: Any) -> dict[str, tuple[torch.Tensor, ...]]:
        """What each part is given for the first of some images, as a batch of one.

        Args:
            inputs: what the model takes.
        """

    @abstractmethod
    def run(self, call: Call, inputs: Any) -> Any:
        """What the model returns in eval mode for the inputs, each image by itself; what is not in a part is computed here."""

    def axes(self) -> dict[str, tuple[dict[int, Axis], ...]]:
        """The axes that change, for each input of each part; none by default."""
        return {}

    def at_least(self, score: float) -> AbstractContextManager[None] | None:
        """While it lasts, the model and this split return answers above that score alone; None where answers have no score."""
        return None

    def call(self, name: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Runs a part as it is; a `Call`."""
        found = self.parts[name](*tensors)
        return (found,) if isinstance(found, torch.Tensor) else tuple(found)


def dynamic_shapes(split: Split, name: str) -> tuple[dict[int, Any], ...] | None:
    """The axes of a part that change, as `torch.export.export` takes them; None where none do."""
    axes = split.axes().get(name)
    if not axes or not any(axes):
        return None
    made: dict[str, Any] = {}

    def dim(axis: Axis) -> Any:
        if axis.name not in made:
            made[axis.name] = torch.export.Dim(axis.name, min=axis.low // axis.step, max=axis.high // axis.step)
        return made[axis.name] * axis.step if axis.step > 1 else made[axis.name]

    return tuple({index: dim(axis) for index, axis in each.items()} for each in axes)


class SplitModule(nn.Module):
    """A model that runs by its parts, some of which were replaced. It has `spec` and `split()` as the model has.

    Args:
        model: with `split()`; its own parameters in replaced parts are given up where `strip` says so.
        parts: what replaces the parts of those names.
        strip: whether parameters of what was replaced are let go. The model cannot run by itself afterwards.
    """

    def __init__(self, model: nn.Module, parts: Mapping[str, nn.Module], *, strip: bool = False) -> None:
        super().__init__()
        self.model = model
        self.replaced = nn.ModuleDict(dict(parts))
        self.spec: Any = getattr(model, "spec", None)
        own = split_of(model).parts
        unknown = [name for name in parts if name not in own]
        if unknown:
            raise ValueError(f"the model has no part {unknown[0]!r}; it has {', '.join(own)}")
        if strip:
            kept = {id(each) for name, part in own.items() if name not in parts for each in part.parameters()}
            for name in parts:
                for each in own[name].parameters():
                    if id(each) not in kept:
                        each.requires_grad_(False)
                        each.data = each.data.new_empty(0)
        self.train(False)

    def split(self) -> Split:
        """The model's, with the parts that were replaced."""
        split = split_of(self.model)
        split.parts = {**split.parts, **dict(self.replaced.items())}
        return split

    def forward(self, inputs: Any) -> Any:
        """What the model returns in eval mode."""
        split = self.split()
        return split.run(split.call, inputs)


def can_split(model: nn.Module) -> bool:
    """True for a model that gives its parts."""
    return callable(getattr(model, "split", None))


def split_of(model: nn.Module) -> Split:
    """The model's parts.

    Raises:
        TypeError: the model gives none, or something else.
    """
    found = model.split()  # type: ignore[operator]  # a method, not a sub-module
    if not isinstance(found, Split):
        raise TypeError(f"split() of a {type(model).__name__} returns a {type(found).__name__}, not a Split")
    return found
