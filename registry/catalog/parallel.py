"""Validating many files on several cores: processes that are handed files a few at a time, and their answers put in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from registry.catalog.files import Named
from registry.catalog.validation import Validation
from registry.diagnostics import Diagnostic
from registry.errors import RegistryError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Start = Literal["fork", "spawn"]

#: Fewer files are done before other processes have started.
_WORTH_IT: dict[Start, int] = {"fork": 300, "spawn": 2000}
#: Files that are validated before processes fork, so that these share what the first documents of a kind have to load.
_FIRST = 50
#: Files that a process is handed at once.
_CHUNK = 25
#: Answers, for each process, that may wait for one before them: a bound on memory.
_AHEAD = 4
#: Seconds that a process has to end when there is no more work.
_PATIENCE = 5


class _Answer(NamedTuple):
    """What is wrong with a file whatever others are called, and the names that its documents have."""

    file: str
    found: list[Diagnostic]
    named: list[tuple[Any, ...]]


class _Worker(NamedTuple):
    process: BaseProcess
    connection: Connection[Any, Any]


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_start() -> Start:
    """How processes are started: forked from one that has loaded everything, where that is safe."""
    return "fork" if hasattr(os, "fork") and sys.platform != "darwin" else "spawn"


def validate_each(
    run: Validation,
    files: Sequence[Path],
    jobs: int | None,
    anew: Callable[[], Validation],
    start: Start | None = None,
) -> Iterator[list[Diagnostic]]:
    """What is wrong with each file, in their order, which is the same for any number of processes.

    Args:
        jobs: how many processes; None: as many as there are cores, where there are files enough.
        anew: makes a run like `run` in another process; a function that pickles.
        start: how processes are started; None: as `usual_start` says.

    Raises:
        RegistryError: a process ended before its work.
    """
    start = start or usual_start()
    jobs = jobs or (usable_cores() if len(files) >= _WORTH_IT[start] else 1)
    first = _FIRST if start == "fork" else 0
    if jobs == 1 or len(files) <= first + _CHUNK:
        yield from (run.file(file) for file in files)
        return
    yield from (run.file(file) for file in files[:first])
    paths = [os.fspath(file) for file in files[first:]]
    chunks = [paths[begin : begin + _CHUNK] for begin in range(0, len(paths), _CHUNK)]
    with _workers(min(jobs, len(chunks)), start, run if start == "fork" else anew) as workers:
        for answer in _in_order(workers, chunks):
            named = [Named.unpacked(packed) for packed in answer.named]
            yield [*answer.found, *run.conflicts(answer.file, named)]


@contextlib.contextmanager
def _workers(count: int, start: Start, run: Validation | Callable[[], Validation]) -> Iterator[list[_Worker]]:
    """Processes that end with the context, however it is left."""
    from multiprocessing import get_context

    context: Any = get_context(start)
    workers: list[_Worker] = []
    try:
        with _uninterrupted():
            for _ in range(count):
                ours, theirs = context.Pipe()
                inherited = ours if start == "fork" else None
                process = context.Process(target=_work, args=(theirs, run, inherited), daemon=True)
                process.start()
                theirs.close()
                workers.append(_Worker(process, ours))
        yield workers
    except BaseException:  # such as Ctrl-C
        for worker in workers:
            worker.process.terminate()
        raise
    finally:
        for worker in workers:
            worker.connection.close()  # which ends a process that waits for work
        for worker in workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits, and processes that are started inside never hear it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    connection: Connection[Any, Any],
    run: Validation | Callable[[], Validation],
    inherited: Connection[Any, Any] | None,
) -> None:
    """What a process does: answers each chunk of files that comes, until the other end is closed.

    Args:
        inherited: the other end, which a forked process has too, and would keep open.
    """
    if inherited is not None:
        inherited.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and ends this one
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            if not isinstance(run, Validation):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the first process has told
                    run = run()
            while True:
                number, files = connection.recv()
                connection.send((number, [_answer(run, file) for file in files]))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:
            connection.send((None, f"{type(error).__name__}: {error}"))


def _answer(run: Validation, file: str) -> _Answer:
    found, named = run.file_alone(file)
    return _Answer(file, found, [one.packed() for one in named])


def _in_order(workers: Sequence[_Worker], chunks: Sequence[list[str]]) -> Iterator[_Answer]:
    """The answers for each file of each chunk in turn; a process is handed one chunk after the other."""
    from multiprocessing.connection import wait

    by_connection = {worker.connection: worker for worker in workers}
    idle, done, handed = list(workers), {}, 0
    for number in range(len(chunks)):
        while number not in done:
            while idle and handed < min(len(chunks), number + _AHEAD * len(workers)):
                _hand(idle.pop(), (handed, chunks[handed]))
                handed += 1
            busy = [worker.connection for worker in workers if worker not in idle]
            for connection in wait(busy):
                worker = by_connection[connection]  # type: ignore[index]
                answered, answers = _taken(worker)
                done[answered] = answers
                idle.append(worker)
        yield from done.pop(number)


def _hand(worker: _Worker, work: tuple[int, list[str]]) -> None:
    try:
        worker.connection.send(work)
    except OSError:
        raise _ended(worker) from None


def _taken(worker: _Worker) -> tuple[int, list[_Answer]]:
    try:
        number, answers = worker.connection.recv()
    except (EOFError, OSError):
        raise _ended(worker) from None
    if number is None:
        raise RegistryError(f"a process that validates files failed: {answers}; --jobs 1 shows where")
    return number, answers


def _ended(worker: _Worker) -> RegistryError:
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
    return RegistryError(f"a process that validates files {how}; try again, or with --jobs 1")
