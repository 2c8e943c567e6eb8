"""Folds: the training split cut into parts, each of which is measured on once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

from registry_training.part import Part

from registry.errors import RegistryError


def folds(names: Sequence[str], labels: Sequence[Hashable] | None, count: int, seed: int) -> list[list[int]]:
    """The pictures of each fold, whose sizes differ by at most one, as does each label's share of them.

    Within a label, pictures are ordered by the SHA-256 of seed and name and dealt to the folds in turn, so neither the order of
    the data set nor the machine matters. Where a name stands several times, all of its entries go to the fold of the first.

    Args:
        names: of all pictures.
        labels: of all pictures; None: they are dealt as if all had one.
        count: number of folds, at least 2.

    Raises:
        RegistryError: there are fewer pictures than folds.
    """
    entries: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        entries.setdefault(name, []).append(index)
    if len(entries) < count:
        raise RegistryError(f"{len(entries)} training pictures cannot be cut into {count} folds; lower --folds")
    groups: dict[Hashable, list[str]] = {}
    for name, indices in entries.items():
        groups.setdefault(None if labels is None else labels[indices[0]], []).append(name)
    found: list[list[int]] = [[] for _ in range(count)]
    place = 0
    for _, members in sorted(groups.items(), key=lambda item: str(item[0])):
        for name in sorted(members, key=lambda name: (_rank(name, seed), name)):
            found[place % count].extend(entries[name])
            place += 1
    return [sorted(fold) for fold in found]


def folds_of(data: Any, count: int, seed: int) -> list[tuple[Part, Part]]:
    """What each fold trains on and is measured on; see `folds`. Labels count where the data set has them at hand.

    Raises:
        RegistryError: there are fewer pictures than folds.
    """
    name_of = getattr(data, "name_of", str)
    names = [name_of(index) for index in range(len(data))]
    parts = folds(names, getattr(data, "labels", None), count, seed)
    pairs = []
    for fold in parts:
        out = set(fold)
        pairs.append((Part(data, [index for index in range(len(names)) if index not in out]), Part(data, fold)))
    return pairs


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()
