"""In which order an epoch goes through a data set: batches as a function of seed and epoch alone."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from registry_training.seeds import order_of

#: A picture of a batch: its number in the data set, and how often it stood in this epoch before.
Place = tuple[int, int]


@dataclass(frozen=True)
class Order:
    """How batches are made.

    Attributes:
        length: pictures in the data set.
        batch: pictures in a batch of all processes.
        seed: of the run.
        repeats: how often each picture stands in a row, differently augmented; an epoch keeps its length.
        drop_last: leave out a last batch that is not full.
        groups: number of each picture's group, if a batch is to hold one group only; else None.
    """

    length: int
    batch: int
    seed: int
    repeats: int = 1
    drop_last: bool = False
    groups: Sequence[int] | None = None

    def steps(self) -> int:
        """Batches of an epoch."""
        full, rest = divmod(self.length, self.batch)
        return full if self.drop_last or self.groups is not None or not rest else full + 1

    def batches(self, epoch: int) -> list[list[Place]]:
        """The batches of an epoch."""
        indices = list(range(self.length))
        order_of(self.seed, epoch).shuffle(indices)
        places = [(index, repeat) for index in indices for repeat in range(self.repeats)][: self.length]
        if self.groups is not None:
            return self._grouped(places, self.groups)
        batches = [places[start : start + self.batch] for start in range(0, len(places), self.batch)]
        return batches[: self.steps()]

    def _grouped(self, places: list[Place], groups: Sequence[int]) -> list[list[Place]]:
        """Full batches of one group each, in the order in which they fill; the last ones topped up by pictures that their group
        has had before. Source: torchvision/references/detection/group_by_aspect_ratio.py, `GroupedBatchSampler`."""
        waiting: dict[int, list[Place]] = {}
        had: dict[int, list[Place]] = {}
        batches: list[list[Place]] = []
        for place in places:
            group = groups[place[0]]
            waiting.setdefault(group, []).append(place)
            had.setdefault(group, []).append(place)
            if len(waiting[group]) == self.batch:
                batches.append(waiting.pop(group))
        missing = self.steps() - len(batches)
        for group in sorted(waiting, key=lambda group: len(waiting[group]), reverse=True)[:missing]:
            batch = waiting[group]
            more = [(index, repeat + self.repeats) for index, repeat in had[group]]
            while len(batch) < self.batch:
                batch = [*batch, *more[: self.batch - len(batch)]]
                more = [(index, repeat + self.repeats) for index, repeat in more]
            batches.append(batch)
        return batches


def aspect_group(height: int, width: int, factor: int) -> int:
    """The group of a picture by height / width, 0 for the widest: between `2 ** linspace(-1, 1, 2 * factor + 1)`, or at 1 for
    the factor 0.

    Source: torchvision/references/detection/group_by_aspect_ratio.py, `create_aspect_ratio_groups`.
    """
    edges = [2.0 ** (index / factor - 1) for index in range(2 * factor + 1)] if factor else [1.0]
    return bisect.bisect_right(edges, height / width)


def share(batch: Sequence[Place], rank: int, processes: int) -> list[Place]:
    """The pictures of a batch that one process takes."""
    return list(batch[rank::processes])
