"""What can be wrong with a text before anyone asks what it means."""

from __future__ import annotations

from dataclasses import dataclass

from registry.source.nodes import Span


@dataclass(eq=False)
class SourceProblem(Exception):
    """A rule broken at a span.

    Attributes:
        rule: id of the rule, REG001 to REG009.
        message: what is wrong.
        span: where.
        suggestion: what to write instead, or None.
    """

    rule: str
    message: str
    span: Span
    suggestion: str | None = None

    def __str__(self) -> str:
        return f"{self.span}: {self.message}"
