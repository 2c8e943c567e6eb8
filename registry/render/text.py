"""Diagnostics for people: position, message, the line of source and carets under the span."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from registry.diagnostics import Diagnostic
from registry.render.cells import excerpt, shows
from registry.source import Span

_RED, _YELLOW, _BLUE, _BOLD, _OFF = "\033[31m", "\033[33m", "\033[34m", "\033[1m", "\033[0m"
_TONES = {"error": _RED, "warning": _YELLOW, "note": _BLUE}


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
    position = paint(_escaped(str(diagnostic.span)), _BOLD)
    head = f"{position}: {paint(diagnostic.severity, tone)}: {_escaped(diagnostic.message)}"
    lines = [f"{head} {paint(f'[{diagnostic.rule}]', tone)}", *_marked(diagnostic.span, paint, tone)]
    if diagnostic.suggestion:
        lines.append(f"  {paint('help', _BLUE)}: {_escaped(diagnostic.suggestion)}")
    for related in diagnostic.related:
        lines.append(f"  {paint('note', _BLUE)}: {_escaped(f'{related.span}: {related.message}')}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """One line without control characters: a document's text must not steer the terminal."""
    return "".join(c if shows(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def _marked(span: Span, paint: Painter, tone: str) -> list[str]:
    """The source line, and carets under the part of the span on it; nothing where there is no text."""
    found = excerpt(span)
    if found is None:
        return []
    line, indent, width = found
    gutter = " " * len(str(span.line))
    return [f"{span.line} | {line}", f"{gutter} | {' ' * indent}{paint('^' * width, tone)}"]
