"""In which order an epoch goes through a data set."""

from __future__ import annotations

from collections import Counter

import numpy
import pytest
from registry_training.order import Order, aspect_group, share
from registry_training.seeds import sample_seed, start_seed, step_seed


def indices(order: Order, epoch: int = 0) -> list[int]:
    return [index for batch in order.batches(epoch) for index, _ in batch]


@pytest.mark.parametrize(
    ("length", "batch", "drop_last", "sizes"),
    [(10, 4, False, [4, 4, 2]), (10, 4, True, [4, 4]), (8, 4, False, [4, 4]), (3, 4, False, [3]), (3, 4, True, [])],
)
def test_every_picture_comes_once_in_batches_of_one_size(
    length: int, batch: int, drop_last: bool, sizes: list[int]
) -> None:
    order = Order(length, batch, seed=3, drop_last=drop_last)
    assert [len(found) for found in order.batches(0)] == sizes
    assert order.steps() == len(sizes)
    assert max(Counter(indices(order)).values(), default=1) == 1
    if not drop_last:
        assert sorted(indices(order)) == list(range(length))


def test_epochs_and_seeds_differ_and_repeat_themselves() -> None:
    order = Order(50, 8, seed=1)
    assert indices(order, 4) == indices(Order(50, 8, seed=1), 4)
    assert indices(order, 4) != indices(order, 5)
    assert indices(order, 4) != indices(Order(50, 8, seed=2), 4)
    assert indices(order, 0) != list(range(50))


def test_repeated_pictures_stand_in_a_row_and_the_epoch_keeps_its_length() -> None:
    places = [place for batch in Order(9, 3, seed=0, repeats=3).batches(0) for place in batch]
    assert len(places) == 9
    assert [repeat for _, repeat in places] == [0, 1, 2] * 3
    assert [places[start][0] for start in (0, 3, 6)] == [places[start + 2][0] for start in (0, 3, 6)]
    assert len({index for index, _ in places}) == 3


def test_batches_of_groups_are_full_and_hold_one_group() -> None:
    groups = [0] * 7 + [1] * 5 + [2] * 1
    order = Order(13, 4, seed=5, groups=groups)
    batches = order.batches(2)
    assert order.steps() == len(batches) == 3  # 13 // 4, as torchvision's sampler counts
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert all(len({groups[index] for index, _ in batch}) == 1 for batch in batches)
    assert all(len(set(batch)) == 4 for batch in batches)  # one picture twice is augmented twice


def test_a_group_that_cannot_fill_a_batch_repeats_its_pictures() -> None:
    order = Order(4, 4, seed=0, groups=[0, 0, 0, 1])
    (batch,) = order.batches(0)
    assert Counter(index for index, _ in batch).total() == 4
    assert {index for index, _ in batch} == {0, 1, 2}
    assert len(set(batch)) == 4


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_groups_are_those_of_the_documented_bins(factor: int) -> None:
    edges = 2 ** numpy.linspace(-1, 1, 2 * factor + 1)
    for height in (10, 37, 50, 64, 99, 100, 101, 150, 199, 201, 400):
        assert aspect_group(height, 100, factor) == int(numpy.digitize(height / 100, edges))


def test_the_facts_name_seven_edges_for_three_and_a_square_lies_at_the_middle_one() -> None:
    shares = [0.5, 0.630, 0.794, 1, 1.26, 1.587, 2]
    found = [aspect_group(round(1000 * share) + 1, 1000, 3) for share in shares]
    assert found == [1, 2, 3, 4, 5, 6, 7]
    assert aspect_group(1, 1, 0) == 1
    assert aspect_group(1, 2, 0) == 0


def test_processes_share_a_batch_without_rest() -> None:
    batch = [(index, 0) for index in range(7)]
    shares = [share(batch, rank, 3) for rank in range(3)]
    assert [len(found) for found in shares] == [3, 2, 2]
    assert sorted(place for found in shares for place in found) == batch


def test_seeds_depend_on_every_number_and_fit_torch() -> None:
    seeds = {
        sample_seed(seed, epoch, sample, repeat)
        for seed in range(3)
        for epoch in range(3)
        for sample in range(3)
        for repeat in range(3)
    }
    assert len(seeds) == 81
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({step_seed(0, 1, 2, rank) for rank in range(4)} | {start_seed(0), sample_seed(0, 1, 2, 0)}) == 6
