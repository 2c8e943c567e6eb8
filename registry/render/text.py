"""Diagnostics for people: position, message, the line of source and a caret."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from registry.diagnostics import Diagnostic
from registry.source import Span

_RED, _YELLOW, _BLUE, _BOLD, _OFF = "\033[31m", "\033[33m", "\033[34m", "\033[1m", "\033[0m"
_TONES = {"error": _RED, "warning": _YELLOW, "note": _BLUE}
_WIDEST = 160


def render(diagnostics: Sequence[Diagnostic], *, color: bool = False) -> str:
    """All diagnostics, a blank line between, without a summary."""
    return "\n\n".join(_one(diagnostic, _painter(color)) for diagnostic in diagnostics)


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no problems`."""
    counts = [(sum(d.severity == name for d in diagnostics), name) for name in ("error", "warning", "note")]
    return ", ".join(f"{n} {name}{'s' if n != 1 else ''}" for n, name in counts if n) or "no problems"


Painter = Callable[[str, str], str]


def _painter(color: bool) -> Painter:
    return (lambda text, codes: f"{codes}{text}{_OFF}") if color else (lambda text, _codes: text)


def _one(diagnostic: Diagnostic, paint: Painter) -> str:
    tone = _TONES[diagnostic.severity]
    head = f"{paint(str(diagnostic.span), _BOLD)}: {paint(diagnostic.severity, tone)}: {diagnostic.message}"
    lines = [f"{head} {paint(f'[{diagnostic.rule}]', tone)}", *_excerpt(diagnostic.span, paint, tone)]
    if diagnostic.suggestion:
        lines.append(f"  {paint('help', _BLUE)}: {diagnostic.suggestion}")
    for related in diagnostic.related:
        lines.append(f"  {paint('note', _BLUE)}: {related.span}: {related.message}")
    return "\n".join(lines)


def _excerpt(span: Span, paint: Painter, tone: str) -> list[str]:
    """The source line and a caret under the span; nothing where there is no text."""
    line = span.source.line(span.line)
    if not line.strip() or len(line) > _WIDEST or not line.isprintable():
        return []
    end = span.end_column if span.end_line == span.line else len(line) + 1
    width = max(1, min(end, len(line) + 1) - span.column)
    gutter = " " * len(str(span.line))
    return [f"{span.line} | {line}", f"{gutter} | {' ' * (span.column - 1)}{paint('^' * width, tone)}"]
