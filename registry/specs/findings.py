"""What a spec says about itself beyond single values: findings, later given a position by whoever knows the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

#: An error stops a build, a warning is worth a look, a note is good to know.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """A contradiction between values that are each valid alone.

    Attributes:
        rule: id of the rule, such as `REG204`.
        path: where in the spec that reports it, as keys and indices; `("head", "levels", 0)`.
        message: what is wrong, in one sentence.
        suggestion: what to write instead, or None.
        also: other settings that had a part in it; told at the first that the document itself sets.
        severity: an error stops a build; a warning fails a strict validation; a note fails nothing.
    """

    rule: str
    path: tuple[str | int, ...]
    message: str
    suggestion: str | None = None
    severity: Severity = "error"
    also: tuple[tuple[str | int, ...], ...] = ()

    def within(self, *prefix: str | int) -> Finding:
        """The same finding seen from a spec that holds the reporting one at `prefix`."""
        also = tuple((*prefix, *path) for path in self.also)
        return replace(self, path=(*prefix, *self.path), also=also)
