"""Remembering what was worked out from a spec."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from registry.specs.base import Spec

S = TypeVar("S", bound=Spec)
P = ParamSpec("P")
R = TypeVar("R")


class _Kept:
    """A result and what it belongs to. Equal to itself alone, so that comparing specs does not look inside."""

    __slots__ = ("others", "result", "spec")

    def __init__(self, spec: Spec, others: tuple[object, ...], result: Any) -> None:
        self.spec = spec
        self.others = others
        self.result = result


def per_spec(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The function, run once for each spec object: checks ask for the same geometry many times.

    With further arguments, which are given by position, it runs anew whenever another object is among them.
    The result is kept in the object together with the object itself, so that a changed copy, which pydantic makes with all that
    the old one holds, does not take it for its own.
    """
    name = f"_{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def remembered(spec: S, *others: P.args, **_: P.kwargs) -> R:
        kept: _Kept | None = spec.__dict__.get(name)
        if kept is None or kept.spec is not spec or not all(map(operator.is_, kept.others, others)):
            kept = spec.__dict__[name] = _Kept(spec, others, function(spec, *others))  # type: ignore[call-arg]
        result: R = kept.result
        return result

    return remembered  # type: ignore[return-value]
