"""Telling which plugin imports torch where it must not, and what that costs everyone who only reads specs."""

from __future__ import annotations

import sys

#: Modules that a plugin may import only when something is built.
HEAVY = ("torch",)


class HeavyImports:
    """What is imported from now on."""

    def __init__(self) -> None:
        self._before = {name for name in HEAVY if name in sys.modules}

    def told(self, doing: str, seconds: float) -> str | None:
        """A sentence about the heavy modules that came in since, or None.

        Args:
            doing: what brought them in.
            seconds: how long that took.
        """
        found = [name for name in HEAVY if name in sys.modules and name not in self._before]
        if not found:
            return None
        cost = f"{doing} imported {', '.join(found)} and took {seconds:.2f} s"
        return f"{cost}; import it in the modules of the targets, which are loaded when something is built"
