"""What is worked out from a spec is worked out once for it, and for each combination of further objects."""

from __future__ import annotations

import copy

from registry.specs import Spec, per_spec


class Number(Spec):
    value: int


def test_each_combination_of_objects_is_worked_out_once() -> None:
    asked: list[tuple[int, int]] = []

    @per_spec
    def total(spec: Number, other: Number) -> int:
        asked.append((spec.value, other.value))
        return spec.value + other.value

    one, two, three = Number(value=1), Number(value=2), Number(value=3)
    for _ in range(3):
        assert [total(one, two), total(one, three), total(two, one)] == [3, 4, 3]
    assert asked == [(1, 2), (1, 3), (2, 1)]


def test_an_equal_object_is_another() -> None:
    asked: list[Number] = []

    @per_spec
    def remember(spec: Number, other: Number) -> None:
        asked.append(other)

    one, twins = Number(value=1), [Number(value=2), Number(value=2)]
    for twin in [*twins, *twins]:
        remember(one, twin)
    assert [id(other) for other in asked] == [id(twin) for twin in twins]


def test_a_changed_copy_has_results_of_its_own() -> None:
    @per_spec
    def double(spec: Number) -> int:
        return 2 * spec.value

    one = Number(value=1)
    assert double(one) == 2
    assert double(one.model_copy(update={"value": 5})) == 10
    assert double(one) == 2
    assert one == Number(value=1)


def test_a_deep_copy_asks_anew_about_other_objects() -> None:
    @per_spec
    def total(spec: Number, other: Number) -> int:
        return spec.value + other.value

    one, others = Number(value=1), [Number(value=value) for value in range(2, 12)]
    assert [total(one, other) for other in others] == list(range(3, 13))
    copied = copy.deepcopy(one)
    del one, others
    more = [Number(value=value) for value in range(100, 1000)]
    assert [total(copied, other) for other in more] == list(range(101, 1001))


def test_results_are_right_past_the_number_that_is_kept() -> None:
    @per_spec
    def total(spec: Number, other: Number) -> int:
        return spec.value + other.value

    one = Number(value=1)
    others = [Number(value=value) for value in range(200)]
    for _ in range(2):
        assert [total(one, other) for other in others] == list(range(1, 201))
