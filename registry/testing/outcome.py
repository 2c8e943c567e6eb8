"""What a check comes to: an outcome, an error that lists those that failed, and the way to leave a check out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from registry.errors import RegistryError

State = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """How one check of one part, document or plugin ended.

    Attributes:
        subject: what was looked at, such as `head my_head`.
        check: name of the check.
        state: `passed`, `failed` or `skipped`.
        message: everything that is wrong, a line each, or why it was skipped; empty where it passed.
        seconds: how long it took.
    """

    subject: str
    check: str
    state: State
    message: str
    seconds: float

    @property
    def id(self) -> str:
        """`head-my_head-name_of_the_check`, by which `skip` knows it."""
        return case_id(self.subject, self.check)


def case_id(subject: str, check: str) -> str:
    """The id of a check of a subject."""
    return f"{subject.replace(' ', '-')}-{check}"


class ConformanceError(RegistryError):
    """Checks that failed; the text has all of them.

    Attributes:
        outcomes: those that failed.
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        told = "\n".join(f"{outcome.id}:\n{_indented(outcome.message)}" for outcome in self.outcomes)
        super().__init__(f"{len(self.outcomes)} {'check' if len(self.outcomes) == 1 else 'checks'} failed\n{told}")


class Skipped(Exception):
    """Raised by a check that has nothing to look at; the text says why."""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
