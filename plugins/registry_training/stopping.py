"""A signal to stop, which a run follows after its step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether SIGTERM or SIGINT came.

    Attributes:
        asked: True once one did.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this holds, the signals ask, and do no more; not outside the main thread, which alone may take them."""
        names = (signal.SIGTERM, signal.SIGINT)
        before = {}
        try:
            for name in names:
                before[name] = signal.signal(name, self._ask)
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for name, usual in before.items():
                signal.signal(name, usual)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
