"""How the training split is cut."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest
from registry_tuning.folds import Part, folds, folds_of

from registry.errors import RegistryError

NAMES = [f"{index}.png" for index in range(23)]
LABELS = [0] * 10 + [1] * 9 + [2] * 4


class Numbers:
    """Ten items with a method by number and a tuple."""

    categories = ("even", "odd")
    labels = [index % 2 for index in range(10)]

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index * 100, self.labels[index]

    def name_of(self, index: int) -> str:
        return f"n{index}"


def test_each_picture_is_measured_on_once() -> None:
    found = folds(NAMES, LABELS, 3, 0)
    assert sorted(index for fold in found for index in fold) == list(range(23))


def test_folds_and_the_labels_in_them_are_of_one_size() -> None:
    found = folds(NAMES, LABELS, 3, 0)
    assert sorted(map(len, found)) == [7, 8, 8]  # 23 by 3
    for label, sizes in ((0, [3, 3, 4]), (1, [3, 3, 3]), (2, [1, 1, 2])):
        assert sorted(sum(LABELS[index] == label for index in fold) for fold in found) == sizes


def test_without_labels_the_sizes_are_even_too() -> None:
    assert sorted(map(len, folds(NAMES, None, 4, 0))) == [5, 6, 6, 6]


def test_the_seed_and_the_names_decide_and_not_the_order() -> None:
    def named(found: list[list[int]], names: list[str]) -> list[set[str]]:
        return [{names[index] for index in fold} for fold in found]

    first = folds(NAMES, LABELS, 3, 0)
    assert folds(NAMES, LABELS, 3, 0) == first
    assert folds(NAMES, LABELS, 3, 1) != first
    assert named(folds(NAMES[::-1], LABELS[::-1], 3, 0), NAMES[::-1]) == named(first, NAMES)


def test_a_picture_that_stands_twice_is_in_one_fold() -> None:
    names = [f"{index % 7}.png" for index in range(21)]
    for fold in folds(names, [index % 2 for index in range(21)], 3, 0):
        assert set(Counter(names[index] for index in fold).values()) == {3}


def test_there_are_more_pictures_than_folds() -> None:
    assert len(folds(["a", "b"], None, 2, 0)) == 2
    with pytest.raises(RegistryError, match="2 training pictures cannot be cut into 3 folds; lower --folds"):
        folds(["a", "b", "a"], None, 3, 0)


def test_no_picture_is_in_both_parts() -> None:
    for training, validation in folds_of(Numbers(), 3, 0):
        names = [{part.name_of(index) for index in range(len(part))} for part in (training, validation)]
        assert names[0] & names[1] == set()
        assert names[0] | names[1] == {f"n{index}" for index in range(10)}


def test_a_part_is_a_data_set_of_its_own() -> None:
    part = Part(Numbers(), [7, 2])
    assert [part[0], part[1], len(part)] == [(700, 1), (200, 0), 2]
    assert (part.name_of(0), part.labels, part.categories) == ("n7", [1, 0], ("even", "odd"))
    assert getattr(part, "size_of", None) is None
    for index in (2, -1):
        with pytest.raises(IndexError):
            part[index]
    copy: Any = pickle.loads(pickle.dumps(part))
    assert copy[0] == (700, 1)
