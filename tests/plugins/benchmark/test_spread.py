"""Medians, quartiles, ratios and savings, by arithmetic."""

from __future__ import annotations

import pytest
from registry_benchmark.spread import Ratio, Spread, ratio, saving


def test_a_spread_of_five_values() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, 2.0, 4.0, 1.0, 5.0, 5)


def test_quartiles_between_two_values_are_by_proportion() -> None:
    # of 1, 2, 3, 4 the first quartile lies at three quarters of the way from 1 to 2
    assert Spread.of([4.0, 3.0, 2.0, 1.0]) == Spread(2.5, 1.75, 3.25, 1.0, 4.0, 4)


def test_one_value_is_its_own_spread_and_none_has_none() -> None:
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 7.0, 7.0, 1)
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_a_ratio_is_of_medians_and_its_quartiles_are_of_rounds() -> None:
    # medians 6 and 2; rounds 4/1, 6/2, 8/4 are 4, 3 and 2, whose quartiles are 2.5 and 3.5
    assert ratio([4.0, 6.0, 8.0], [1.0, 2.0, 4.0]) == Ratio(3.0, 2.5, 3.5)


def test_a_machine_that_slows_down_leaves_the_ratio_of_rounds_alone() -> None:
    slow = [1.0, 2.0, 8.0]  # the machine, from round to round
    found = ratio([2 * each for each in slow], slow)
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_rounds_must_belong_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0, 2.0], [1.0])


def test_a_saving_is_the_share_of_time_that_is_not_needed() -> None:
    assert saving(0.2904, 0.1679) == pytest.approx(0.42, abs=0.005)  # the article's own proposals
    assert saving(2.0, 3.0) == -0.5
