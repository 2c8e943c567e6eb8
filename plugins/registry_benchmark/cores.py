"""The cores that subjects are pinned to, and what the machine says of itself. Nothing here imports torch."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

from registry.errors import RegistryError

#: Variables by which numeric libraries are told how many threads to use.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: Instruction sets that decide how fast models run, as Linux calls them.
_FLAGS = ("avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")


def chosen(threads: int) -> tuple[int, ...]:
    """The first so many of the cores that this process may use; empty where the system pins no process.

    Raises:
        RegistryError: there are fewer.
    """
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    count = len(there) or os.cpu_count() or 1
    if threads > count:
        raise RegistryError(f"{threads} threads need as many cores, and this process may use {count}; lower --threads")
    return tuple(there[:threads])


def variables(threads: int) -> dict[str, str]:
    """The environment that keeps numeric libraries to so many threads."""
    return {name: str(threads) for name in _VARIABLES}


def pin(cores: tuple[int, ...]) -> None:
    """Holds this process, and the threads that it starts from now on, to some cores, where the system can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def pin_threads(cores: tuple[int, ...]) -> int:
    """Brings every thread of this process back to its cores; how many had left them.

    Engines with a pool of their own may place its threads themselves.
    """
    tasks = Path("/proc/self/task")
    if not cores or not hasattr(os, "sched_setaffinity") or not tasks.is_dir():
        return 0
    left = 0
    for task in tasks.iterdir():
        with contextlib.suppress(OSError, ValueError):  # a thread may end meanwhile
            if not os.sched_getaffinity(int(task.name)) <= set(cores):
                left += 1
                os.sched_setaffinity(int(task.name), cores)
    return left


def peak_memory() -> int:
    """Most bytes of memory that this process held at once.

    Linux counts `ru_maxrss` on from the process that started this one, so that its own `VmHWM` is read where it is told.
    """
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def machine(cores: tuple[int, ...], threads: int) -> dict[str, Any]:
    """Processor, instruction sets, cores and system, as plain data."""
    told: dict[str, str] = {}
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        told.setdefault(key.strip(), value.strip())
    flags = set((told.get("flags") or told.get("Features") or "").split())
    return {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in _FLAGS if name in flags],
        "cores_there": os.cpu_count(),
        "cores": list(cores),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
