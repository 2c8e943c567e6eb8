"""Diagnostics as JSON: every part of a diagnostic, in keys that scripts rely on."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from registry.diagnostics import Diagnostic, Fix, Related
from registry.render.jsonable import as_data, render
from registry.source import Source, Span

SOURCE = Source("m.yaml", "kind: model\nact: relx\n")


def test_every_part_is_told() -> None:
    span = Span(SOURCE, 2, 6, 2, 10)
    related = Related("inherited here", Span(Source("--set", "a=b"), 1, 1, 1, 2))
    found = Diagnostic("REG105", "note", "no such choice", span, "write `relu`", (related,), Fix(span, "relu"))
    place = {"line": 2, "column": 6, "end_line": 2, "end_column": 10}
    assert json.loads(render([found])) == [
        {
            "rule": "REG105",
            "severity": "note",
            "message": "no such choice",
            "suggestion": "write `relu`",
            "file": "m.yaml",
            **place,
            "related": [
                {
                    "message": "inherited here",
                    "file": "--set",
                    "line": 1,
                    "column": 1,
                    "end_line": 1,
                    "end_column": 2,
                }
            ],
            "fix": {"text": "relu", "file": "m.yaml", **place},
        }
    ]


def test_what_is_absent_is_null_or_empty() -> None:
    (data,) = as_data([Diagnostic("REG101", "error", "unknown key", Span(SOURCE, 1, 1, 1, 5))])
    assert (data["suggestion"], data["related"], data["fix"]) == (None, [], None)
    assert render([]) == "[]"


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_comes_back_from_ascii(message: str, file: str) -> None:
    written = render([Diagnostic("REG101", "error", message, Span(Source(file), 1, 1, 1, 1), message)])
    (data,) = json.loads(written.encode("ascii"))
    assert (data["message"], data["suggestion"], data["file"]) == (message, message, file)
