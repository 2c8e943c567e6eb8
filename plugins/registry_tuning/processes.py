"""Which process runs a trial, whether it still lives, and how it is asked to stop."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, as plain data."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_gone(told: Any) -> bool:
    """True if that process ran on this machine and has ended; False too where that cannot be told."""
    if not isinstance(told, dict) or told.get("machine") != _machine():
        return False
    pid = int(told["pid"])
    try:
        os.kill(pid, 0) if os.name != "nt" else None
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(_started(pid) != told["started"])


@contextmanager
def interruptible() -> Iterator[None]:
    """While this holds, SIGTERM raises KeyboardInterrupt, as SIGINT does; a training that runs meanwhile has its own way."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, which alone may take signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _machine() -> str:
    """Host and process namespace, as containers may share a host's name."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}/{space}"


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks, since numbers of processes come again; empty where that is not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "gone" if fields[0] in "ZX" else fields[19]
