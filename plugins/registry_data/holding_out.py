"""Which items are held out to validate on, where no folder, list or column says so."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence

from registry.errors import RegistryError


def held_out(names: Sequence[str], fraction: float, seed: int, groups: Sequence[Hashable] | None = None) -> list[bool]:
    """For each item whether it is held out.

    The items of a group are ordered by the SHA-256 of seed and name, and the first `fraction` of them, rounded, is held out:
    at least one and not all, or none of a group of one. So the split depends on neither order, machine nor other groups.

    Args:
        names: different names.
        fraction: 0 to 1, both excluded.
        groups: a group for each name, such as its class, each of which is split by itself; None: all are one.

    Raises:
        RegistryError: nothing can be held out, as every group has one item.
    """
    members: dict[Hashable, list[int]] = {}
    for index in range(len(names)):
        members.setdefault(None if groups is None else groups[index], []).append(index)
    chosen = [False] * len(names)
    for indices in members.values():
        ranked = sorted(indices, key=lambda index: (_rank(names[index], seed), names[index]))
        count = min(max(1, math.floor(len(ranked) * fraction + 0.5)), len(ranked) - 1)
        for index in ranked[:count]:
            chosen[index] = True
    if names and not any(chosen):
        raise RegistryError(
            f"`validation_fraction` can hold nothing out of {len(names)} items, as each stands alone in its class; add items"
        )
    return chosen


def of_split(
    split: str, names: Sequence[str], fraction: float, seed: int, groups: Sequence[Hashable] | None = None
) -> list[int]:
    """Indices of the items of a split, `train` or `validation`; see `held_out`."""
    wanted = split == "validation"
    return [index for index, out in enumerate(held_out(names, fraction, seed, groups)) if out == wanted]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
