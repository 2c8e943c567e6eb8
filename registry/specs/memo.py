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


#: How many results are kept of one spec and function, each for other further arguments.
_MOST = 32


class _Kept:
    """Results, and the spec they belong to. Equal to itself alone, so that comparing specs does not look inside.

    Attributes:
        results: by the identities of the further arguments, which are kept with it.
    """

    __slots__ = ("results", "spec")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.results: dict[tuple[int, ...], tuple[tuple[object, ...], Any]] = {}


def per_spec(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The function, run once for each spec object: checks ask for the same geometry many times.

    With further arguments, which are given by position, it runs once for each combination of objects.
    The results are kept in the object together with the object itself, so that a changed copy, which pydantic makes with all
    that the old one holds, does not take them for its own.
    """
    name = f"_{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def remembered(spec: S, *others: P.args, **_: P.kwargs) -> R:
        kept: _Kept | None = spec.__dict__.get(name)
        if kept is None or kept.spec is not spec:
            kept = spec.__dict__[name] = _Kept(spec)
        key = tuple(map(id, others))
        found = kept.results.get(key)
        if found is None or not all(map(operator.is_, found[0], others)):  # identities change in a deep copy
            if len(kept.results) == _MOST:
                kept.results.clear()
            found = kept.results[key] = others, function(spec, *others)  # type: ignore[call-arg]  # by position alone
        result: R = found[1]
        return result

    return remembered  # type: ignore[return-value]
