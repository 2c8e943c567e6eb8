"""Diagnostics as workflow commands, which GitHub shows as annotations beside the lines they are about.

Rules of the format: `actions/toolkit`'s `command.ts` for escapes, `actions/runner`'s `ActionCommandManager.cs` for positions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from registry.diagnostics import Diagnostic
from registry.render.sources import encodable, is_file
from registry.source import Span
from registry.specs import Severity

_COMMANDS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """One command a line.

    The message repeats position and rule: past the tenth annotation of a step, and in its log, nothing else tells them.
    """
    return "\n".join(map(_one, diagnostics))


def _one(diagnostic: Diagnostic) -> str:
    properties = {**_position(diagnostic.span), "title": f"registry {diagnostic.rule}"}
    written = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    lines = [f"{diagnostic.span}: {diagnostic.text} [{diagnostic.rule}]"]
    lines += [f"{related.span}: {related.message}" for related in diagnostic.related]
    message = encodable("\n".join(lines))
    return f"::{_COMMANDS[diagnostic.severity]} {written}::{_data(message)}"


def _position(span: Span) -> dict[str, str | int]:
    """File, lines and columns, both ends inclusive; nothing for a source that is no file.

    The path is absolute: the runner makes it relative to the checkout, whichever folder the step works in.
    """
    if not is_file(span.file):
        return {}
    file = encodable(os.path.abspath(span.file))
    # a span that ends before the first character of a line ends with the line above
    ends_above = span.end_column == 1 and span.end_line > span.line
    end_line = span.end_line - 1 if ends_above else span.end_line
    if end_line > span.line:  # the runner drops columns of annotations over several lines
        return {"file": file, "line": span.line, "endLine": end_line}
    place: dict[str, str | int] = {"file": file, "line": span.line, "endLine": span.line, "col": span.column}
    return place if ends_above else {**place, "endColumn": max(span.column, span.end_column - 1)}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
