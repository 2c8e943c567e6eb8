"""What is worth knowing about channel counts: those that integer kernels run slowly on, and those that rounding changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registry.specs import Finding
from registry_mobilenet.channels import make_divisible

#: Channels that a kernel of a phone computes at once.
_LANES = 8
#: Part of a channel count that rounding may add before it is told.
_CLOSE = 0.1

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Built:
    """A channel count as it is built.

    Attributes:
        count: how many.
        what: what has so many, for a message; `block 3 has`.
        path: the setting that decides it.
        suggestion: what to write instead where it is no multiple of 8.
    """

    count: int
    what: str
    path: Path
    suggestion: str


@dataclass(frozen=True)
class Written:
    """A channel count as it is written, before a width multiplier.

    Attributes:
        count: how many.
        what: where; `block 3`.
        path: the setting that holds it.
    """

    count: int
    what: str
    path: Path


def alignment_findings(counts: Iterable[Built]) -> Iterator[Finding]:
    """The first channel count that is no multiple of 8, in which kernels of phones would fill up with zeros."""
    odd = next((built for built in counts if built.count % _LANES), None)
    if odd is not None:
        text = f"{odd.what} {odd.count} channels, no multiple of {_LANES}, which is slow in integer kernels of phones"
        yield Finding("REG210", odd.path, text, odd.suggestion, "warning")


def rounding_findings(counts: Iterable[Written], factor: float) -> Iterator[Finding]:
    """The channel count of which the multiple of 8 that is built lies farthest from it, if that is more than 10 %."""
    worst, most = None, _CLOSE
    for written in (written for written in counts if written.count > 0):  # half of 1 is 0, of which nothing is a part
        exact = written.count * factor
        added = make_divisible(exact, _LANES) / exact - 1  # rounding takes 10 % at most, and may add any amount
        if added > most + 1e-9:
            worst, most = written, added
    if worst is None:
        return
    exact = worst.count * factor
    built = make_divisible(exact, _LANES)
    change = f"{100 * most:.0f} % more"
    if factor == 1:
        text = f"{worst.what}: {worst.count} becomes {built}, {change}"
        yield Finding("REG211", worst.path, text, f"write {built}, as channel counts are multiples of {_LANES}", "note")
    else:
        text = f"{worst.what}: {worst.count} x {factor:g} = {exact:g} becomes {built}, {change}"
        hint = f"write counts whose product is near a multiple of {_LANES}, or accept it"
        yield Finding("REG211", ("width_mult",), text, hint, "note", (worst.path,))
