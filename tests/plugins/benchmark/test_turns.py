"""Workers that take turns: their order, what is repeated, and processes that end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from registry_benchmark.cores import chosen
from registry_benchmark.subjects import Subject
from registry_benchmark.turns import Process, measured

from registry.errors import RegistryError


class StandIn:
    """Answers as a worker does, and notes in a common list what it was asked."""

    def __init__(self, subject: Subject, asked: list[tuple[str, str]], answers: Iterator[tuple[float, float]]) -> None:
        self.subject, self.asked, self.answers = subject, asked, answers
        self.primed: list[bool] = []
        self.warm_seconds = 0.01
        self.closed = False

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((name, self.subject.label))
        if name == "turn":
            self.primed.append(arguments["prime"])
            wall, processor = next(self.answers)
            return {"wall": wall, "processor": processor}
        return {
            "load": {"engine": "stand-in", "notes": []},
            "warm": {"seconds": self.warm_seconds, "strayed": 0},
            "accuracy": {"figures": {"top1": 0.5}, "headline": "top1", "pictures": 3},
        }.get(name, {})

    def close(self) -> None:
        self.closed = True


def endless(wall: float, processor: float) -> Iterator[tuple[float, float]]:
    while True:
        yield wall, processor


def subjects(*labels: str, device: str = "cpu") -> list[Subject]:
    return [Subject(label, label, device=device) for label in labels]


def test_subjects_take_turns_round_by_round() -> None:
    asked: list[tuple[str, str]] = []
    made: list[StandIn] = []

    def start(subject: Subject) -> StandIn:
        made.append(StandIn(subject, asked, endless(1.0, 1.0)))
        return made[-1]

    found = measured(subjects("a", "b"), start, runs=3, warmup=2)
    assert [label for name, label in asked if name == "turn"] == ["a", "b", "a", "b", "a", "b"]
    assert [name for name, label in asked if label == "a"] == ["load", "warm", "turn", "turn", "turn", "tell"]
    assert [len(timed.wall) for timed in found] == [3, 3]
    last_warm = max(index for index, (name, _) in enumerate(asked) if name == "warm")
    assert all(name != "turn" for name, _ in asked[: last_warm + 1])  # everyone is warm before the first round
    assert all(worker.closed for worker in made)


def test_a_short_subject_is_primed_before_each_turn_and_a_long_one_is_not() -> None:
    made: list[StandIn] = []

    def start(subject: Subject) -> StandIn:
        made.append(StandIn(subject, [], endless(1.0, 1.0)))
        made[-1].warm_seconds = {"short": 0.01, "long": 3.0}[subject.label]
        return made[-1]

    measured(subjects("short", "long"), start, runs=2, warmup=1)
    assert [worker.primed for worker in made] == [[True, True], [False, False]]


def test_a_disturbed_run_is_repeated_and_the_quiet_one_counts() -> None:
    # of 4 seconds the processor worked 2, then of 2.05 seconds 2
    answers = iter([(4.0, 2.0), (2.05, 2.0), (2.0, 2.0)])
    (found,) = measured(subjects("a"), lambda subject: StandIn(subject, [], answers), runs=2, warmup=1)
    assert (found.wall, found.disturbed) == ([2.05, 2.0], 0)


def test_a_run_that_is_disturbed_each_time_counts_at_its_least_disturbed_and_is_told() -> None:
    answers = iter([(4.0, 2.0), (3.0, 2.0), (2.5, 2.0), (5.0, 2.0)])
    (found,) = measured(subjects("a"), lambda subject: StandIn(subject, [], answers), runs=1, warmup=1)
    assert (found.wall, found.disturbed) == ([2.5], 1)


def test_a_run_on_a_gpu_is_never_taken_for_disturbed() -> None:
    given = subjects("a", device="cuda")
    (found,) = measured(given, lambda subject: StandIn(subject, [], iter([(4.0, 0.1)])), runs=1, warmup=1)
    assert (found.wall, found.disturbed) == ([4.0], 0)


def test_accuracy_is_measured_after_the_last_round_where_there_is_data() -> None:
    asked: list[tuple[str, str]] = []
    found = measured(
        subjects("a", "b"),
        lambda subject: StandIn(subject, asked, endless(1.0, 1.0)),
        runs=1,
        warmup=1,
        data=lambda timed: ("photos", [], 3) if timed.subject.label == "b" else None,
    )
    assert [name for name, label in asked if label == "b"] == ["load", "warm", "turn", "tell", "accuracy"]
    assert ("accuracy", "a") not in asked
    assert found[0].figures is None
    assert found[1].figures == {"figures": {"top1": 0.5}, "headline": "top1", "pictures": 3}


def test_an_error_ends_all_workers() -> None:
    made: list[StandIn] = []

    class Failing(StandIn):
        def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
            if name == "warm" and self.subject.label == "b":
                raise RegistryError("`b`: a run fails")
            return super().ask(name, **arguments)

    def start(subject: Subject) -> StandIn:
        made.append(Failing(subject, [], endless(1.0, 1.0)))
        return made[-1]

    with pytest.raises(RegistryError, match="`b`: a run fails"):
        measured(subjects("a", "b"), start, runs=1, warmup=1)
    assert [worker.closed for worker in made] == [True, True]


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process(Subject("mine", "mine"), chosen(1), 1)
    yield made
    made.close()


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
def test_a_worker_that_is_killed_is_told_with_the_signal(process: Process) -> None:
    assert process.ask("warm", runs=0)["seconds"] == 0
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(RegistryError) as caught:
        process.ask("load", subject=process.subject.as_data())
    assert str(caught.value) == (
        "`mine`: its process was ended by the signal SIGKILL (as systems do that run out of memory) while it was built"
    )


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
def test_a_worker_that_is_killed_at_its_work_is_told(process: Process) -> None:
    killer = threading.Timer(0.5, lambda: os.kill(process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(
        RegistryError, match=r"^`mine`: its process was ended by the signal SIGKILL .* while it was built$"
    ):
        process.ask("load", subject=process.subject.as_data())  # importing torch alone takes longer
    killer.join()


def test_a_worker_tells_of_its_error_and_goes_on(process: Process) -> None:
    with pytest.raises(RegistryError, match=r"^`mine`: TypeError: "):
        process.ask("warm", runs="many")
    assert process.ask("warm", runs=0)["seconds"] == 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system pins no process")
def test_a_worker_is_held_to_its_cores(process: Process) -> None:
    process.ask("warm", runs=0)
    assert os.sched_getaffinity(process.pid) == {min(os.sched_getaffinity(0))}


def test_more_threads_than_cores_are_refused() -> None:
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with pytest.raises(RegistryError) as caught:
        chosen(there + 1)
    assert str(caught.value) == (
        f"{there + 1} threads need as many cores, and this process may use {there}; lower --threads"
    )
