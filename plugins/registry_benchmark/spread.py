"""Medians, quartiles and ratios of timed runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A sample's median and quartiles, its least and its greatest value.

    Quartiles are those of the sample itself, with values between two runs by proportion.
    """

    median: float
    low: float
    high: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value.

        Raises:
            ValueError: there is none.
        """
        if not values:
            raise ValueError("a spread needs at least one value")
        if len(values) == 1:
            low = high = values[0]
        else:
            low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high, min(values), max(values), len(values))


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the baseline: the baseline's median by this one's.

    Attributes:
        low, high: quartiles of the ratios of single rounds, in which both ran one after the other.
    """

    value: float
    low: float
    high: float


def ratio(baseline: Sequence[float], own: Sequence[float]) -> Ratio:
    """The ratio of two samples whose values of one round belong together.

    Raises:
        ValueError: the samples are empty, or not of one length.
    """
    rounds = Spread.of([first / second for first, second in zip(baseline, own, strict=True)])
    return Ratio(statistics.median(baseline) / statistics.median(own), rounds.low, rounds.high)


def saving(slow: float, fast: float) -> float:
    """The share of time that the fast one does not need, 0.42 for 42 %."""
    return 1 - fast / slow
