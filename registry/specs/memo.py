"""Remembering what was worked out from a spec."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from registry.specs.base import Spec

S = TypeVar("S", bound=Spec)
R = TypeVar("R")


class _Kept:
    """A result and the spec that it belongs to. Equal to itself alone, so that comparing specs does not look inside."""

    __slots__ = ("result", "spec")

    def __init__(self, spec: Spec, result: Any) -> None:
        self.spec = spec
        self.result = result


def per_spec(function: Callable[[S], R]) -> Callable[[S], R]:
    """The function, run once for each spec object: checks ask for the same geometry many times.

    The result is kept in the object together with the object itself, so that a changed copy, which pydantic makes with all that
    the old one holds, does not take it for its own.
    """
    name = f"_{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def remembered(spec: S) -> R:
        kept: _Kept | None = spec.__dict__.get(name)
        if kept is None or kept.spec is not spec:
            kept = spec.__dict__[name] = _Kept(spec, function(spec))
        result: R = kept.result
        return result

    return remembered
