"""Diagnostics: what is wrong with a document, as data. How they look is up to `registry.render`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.errors import RegistryError
from registry.source import SourceProblem, Span
from registry.specs import Severity


@dataclass(frozen=True)
class Related:
    """Another place that helps to understand a diagnostic."""

    message: str
    span: Span


@dataclass(frozen=True)
class Fix:
    """An edit that mends a document without changing what it means.

    Attributes:
        span: the text to replace.
        text: what takes its place.
    """

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong, or worth a warning, at one place.

    Attributes:
        rule: stable id, such as `REG101`; `registry.rules` says what each means.
        severity: `error` stops a build; `warning` fails a strict validation; `note` fails nothing.
        message: what is wrong, in one sentence without a full stop.
        span: where.
        suggestion: what to write instead, or None.
        related: other places, such as the document that inherits a wrong value.
        fix: an edit that mends it, where a machine may make it; else None.
    """

    rule: str
    severity: Severity
    message: str
    span: Span
    suggestion: str | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def text(self) -> str:
        """Message and suggestion in one line."""
        return f"{self.message}; {self.suggestion}" if self.suggestion else self.message

    def __str__(self) -> str:
        return f"{self.span}: {self.severity}: {self.text} [{self.rule}]"

    @classmethod
    def of(cls, problem: SourceProblem) -> Diagnostic:
        """The diagnostic of a text that cannot be read."""
        return cls(problem.rule, "error", problem.message, problem.span, problem.suggestion)


class SpecError(RegistryError):
    """A spec that cannot be used. `diagnostics` holds every reason; the text is one line for each.

    Attributes:
        diagnostics: at least one error, sorted by position.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = in_order(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Diagnostic, ...]]]:
        return SpecError, (self.diagnostics,)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted by file and position, each once."""
    unique = dict.fromkeys(diagnostics)
    return tuple(sorted(unique, key=lambda d: (d.span.file, d.span.line, d.span.column, d.rule, d.message)))


def errors(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Only those that stop a build."""
    return tuple(d for d in diagnostics if d.severity == "error")
