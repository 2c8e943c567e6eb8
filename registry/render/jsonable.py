"""Diagnostics for machines, as plain data and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from registry.diagnostics import Diagnostic
from registry.source import Span


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """A JSON list, in ASCII so that no encoding of a terminal or pipe can spoil it."""
    return json.dumps(as_data(diagnostics), indent=2)


def as_data(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """One dict a diagnostic; lines and columns count from 1, ends are exclusive."""
    return [
        {
            "rule": diagnostic.rule,
            "severity": diagnostic.severity,
            "message": diagnostic.message,
            "suggestion": diagnostic.suggestion,
            **_position(diagnostic.span),
            "related": [{"message": related.message, **_position(related.span)} for related in diagnostic.related],
            "fix": None if diagnostic.fix is None else {"text": diagnostic.fix.text, **_position(diagnostic.fix.span)},
        }
        for diagnostic in diagnostics
    ]


def _position(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
