"""Workers that take turns: one process for each subject, of which never two run at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry.errors import RegistryError
from registry_benchmark.cores import variables
from registry_benchmark.subjects import Subject

#: A subject whose run takes longer, in seconds, gets no run that does not count before each turn: what the caches hold when
#: it begins matters less than the noise.
_LONG = 0.25
#: A run on a CPU whose processor time falls short of the clock by more than this share was disturbed by other programs, and is
#: repeated, so often at most.
_DISTURBED, _REPEATED = 0.05, 3
#: Seconds that a worker is given to end by itself.
_GRACE = 5.0


class Asked(Protocol):
    """Whatever runs a subject and answers: a worker, or a stand-in of it."""

    subject: Subject

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the worker's method of that name."""

    def close(self) -> None:
        """Ends it."""


@dataclass
class Timed:
    """A subject with what was measured.

    Attributes:
        wall: seconds of each counted run, one a round.
        processor: seconds of processor time of each, in all threads.
        told: what the worker said of it.
        disturbed: how many of the runs were disturbed by other programs each time they were tried.
        figures: accuracy, where it was measured: `figures`, `headline`, `pictures`.
    """

    subject: Subject
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    disturbed: int = 0
    figures: dict[str, Any] | None = None


class Process:
    """A worker process.

    Args:
        cores: that it is held to.
        threads: for torch and the engines.
    """

    def __init__(self, subject: Subject, cores: Sequence[int], threads: int) -> None:
        self.subject = subject
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        code = "from registry_benchmark.worker import main; main()"
        words = [sys.executable, "-c", code, ",".join(map(str, cores)), str(threads)]
        # without PYTHONSAFEPATH a `torch.py` in the user's folder would be imported
        environment = {**os.environ, **variables(threads), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment, encoding="utf-8"
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the worker's method of that name.

        Raises:
            RegistryError: the method raised an error, or the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(OSError):  # a process that is gone is told of below
            self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise RegistryError(self._ended(name))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RegistryError(f"`{self.subject.label}`: {answer['error']}")
        return answer

    def _ended(self, name: str) -> str:
        self._kill()
        code = self._process.returncode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"was ended by the signal {signal.Signals(-code).name}"
            if -code == getattr(signal, "SIGKILL", 9):
                how += " (as systems do that run out of memory)"
        doing = {"load": "was built", "warm": "warmed up", "turn": "ran", "tell": "was counted"}.get(
            name, "was measured"
        )
        said = self._said()
        return f"`{self.subject.label}`: its process {how} while it {doing}" + (f"; it said: {said}" if said else "")

    def _said(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return " ".join(line.strip() for line in lines[-4:] if line.strip())[:400]

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.poll() is None:
                try:
                    self._process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()  # the end of its input is a wish to stop
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


#: Starts a worker for a subject.
Start = Callable[[Subject], Asked]
#: Is told what goes on, in a few words.
Note = Callable[[str], None]


def measured(
    subjects: Sequence[Subject],
    start: Start,
    *,
    runs: int,
    warmup: int,
    data: Callable[[Timed], tuple[str, list[str], int | None] | None] = lambda timed: None,
    note: Note = lambda text: None,
) -> list[Timed]:
    """Times the subjects: in each of `runs` rounds, every one runs once, in their order, while the others wait.

    Args:
        warmup: runs of each that do not count, before the first round.
        data: what accuracy is measured on, for a subject that was timed: a data set, its settings and the most pictures.

    A run that other programs disturbed is repeated in its turn, a few times at most.

    Raises:
        RegistryError: one cannot be built, fails, or its process ends.
    """
    with _workers() as workers:
        found = []
        for subject in subjects:
            note(f"building {subject.label}")
            worker = start(subject)
            workers.append(worker)
            found.append(Timed(subject, told=worker.ask("load", subject=subject.as_data())))
        prime = []
        for worker, timed in zip(workers, found, strict=True):
            note(f"warming up {worker.subject.label}")
            warm = worker.ask("warm", runs=warmup)
            timed.told["strayed"] = warm.get("strayed", 0)
            prime.append(warm["seconds"] < _LONG)
        for index in range(runs):
            for worker, timed, first in zip(workers, found, prime, strict=True):
                note(f"round {index + 1} of {runs}: {worker.subject.label}")
                _take(worker, timed, first)
        for worker, timed in zip(workers, found, strict=True):
            note(f"counting {worker.subject.label}")
            timed.told |= worker.ask("tell")
            given = data(timed)
            if given is not None:
                note(f"measuring the accuracy of {worker.subject.label}")
                timed.figures = worker.ask("accuracy", data=given[0], settings=given[1], limit=given[2])
            worker.close()
    return found


def _take(worker: Asked, timed: Timed, prime: bool) -> None:
    """A turn; of a run that is disturbed each time, the least disturbed one counts."""
    tries: list[tuple[float, float]] = []
    for _ in range(_REPEATED + 1):
        answer = worker.ask("turn", prime=prime)
        tries.append((float(answer["wall"]), float(answer["processor"])))
        wall, processor = tries[-1]
        if timed.subject.device != "cpu" or processor >= (1 - _DISTURBED) * wall:
            break
    else:
        timed.disturbed += 1
    wall, processor = max(tries, key=lambda one: one[1] / max(one[0], 1e-12))
    timed.wall.append(wall)
    timed.processor.append(processor)


@contextlib.contextmanager
def _workers() -> Iterator[list[Asked]]:
    workers: list[Asked] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()
