"""Validating many files on several cores: processes that fork from one which has loaded everything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.catalog.files import Named
from registry.catalog.validation import Validation
from registry.diagnostics import Diagnostic

#: Fewer files are done before other processes have started.
_WORTH_IT = 300
#: Files that are validated before processes fork, so that these share what the first documents of a kind have to load.
_FIRST = 50
_CHUNK = 25

#: The run that forked processes share; set before they fork, as nothing of it can be sent to them.
_run: Validation | None = None


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def validate_each(run: Validation, files: Sequence[Path], jobs: int | None) -> Iterator[list[Diagnostic]]:
    """What is wrong with each file, in their order; names are compared in this process.

    Args:
        jobs: how many processes; None: as many as there are cores, where there are files enough.
    """
    jobs = jobs or (usable_cores() if len(files) >= _WORTH_IT else 1)
    if jobs == 1 or not hasattr(os, "fork"):
        yield from (run.file(file) for file in files)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    yield from (run.file(file) for file in files[:_FIRST])
    global _run
    _run = run
    chunks = [files[start : start + _CHUNK] for start in range(_FIRST, len(files), _CHUNK)]
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            for done in pool.map(_validate, chunks):
                for file, (found, named) in done:
                    yield [*found, *run.conflicts(file, named)]
    finally:
        _run = None


def _validate(files: Sequence[Path]) -> list[tuple[Path, tuple[list[Diagnostic], list[Named]]]]:
    assert _run is not None
    return [(file, _run.file_alone(file)) for file in files]
