"""The table of checks: each is a function that yields a sentence for everything that is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[[Any], Iterator[str]])


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        function: yields what is wrong, a sentence each; nothing where all is well. Raises `Skipped` where there is nothing to
            look at. It is given the subject, or a `Bench` where `through_model`.
        groups: what it looks at: `plugin`, `document`, `model` (a document of that kind), or kinds of parts.
        torch: whether it needs torch.
        through_model: whether a part is looked at inside a model that uses it.
    """

    function: Callable[[Any], Iterator[str]]
    groups: frozenset[str]
    torch: bool
    through_model: bool

    @property
    def name(self) -> str:
        """Name of the function."""
        return str(getattr(self.function, "__name__", ""))

    @property
    def proves(self) -> str:
        """What it proves, in a sentence."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())


#: Every check, in the order in which they run.
CHECKS: list[Check] = []


def check(*groups: str, torch: bool = False) -> Callable[[F], F]:
    """Enters a function that is given a subject."""
    return _entered(groups, torch=torch, through_model=False)


def model_check(*groups: str) -> Callable[[F], F]:
    """Enters a function that is given a `Bench`: a small model that uses the part."""
    return _entered(groups, torch=True, through_model=True)


def _entered(groups: tuple[str, ...], *, torch: bool, through_model: bool) -> Callable[[F], F]:
    def enter(function: F) -> F:
        CHECKS.append(Check(function, frozenset(groups), torch, through_model))
        return function

    return enter
