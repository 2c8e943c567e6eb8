"""Workflow commands: the escapes of actions/toolkit's command.ts, and positions that actions/runner accepts.

The runner drops columns where the lines differ and where the end lies before the start (ActionCommandManager.cs,
`ValidateLinesAndColumns`). The toolkit says that an end defaults to the start: ends are inclusive.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.diagnostics import Diagnostic, Related
from registry.render.github import render
from registry.source import Source, Span
from registry.specs import Severity


def at(line: int, column: int, end_line: int, end_column: int, *, file: str = "/w/m.yaml") -> Span:
    return Span(Source(file), line, column, end_line, end_column)


def command(span: Span, message: str = "odd", severity: Severity = "error", rule: str = "REG105") -> str:
    return render([Diagnostic(rule, severity, message, span)])


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """What the runner reads from one line (ActionCommand.cs, `TryParseV2`)."""
    assert line.startswith("::")
    info, _, data = line[2:].partition("::")
    name, _, written = info.partition(" ")
    properties = dict(pair.split("=", 1) for pair in written.strip().split(",") if pair)

    def unescaped(text: str, *codes: str) -> str:
        for code in (*codes, "%25"):
            text = text.replace(code, chr(int(code[1:], 16)))
        return text

    decoded = {key: unescaped(value, "%0D", "%0A", "%3A", "%2C") for key, value in properties.items()}
    return name, decoded, unescaped(data, "%0D", "%0A")


def test_a_command_names_place_title_and_message() -> None:
    assert command(at(3, 5, 3, 9)) == (
        "::error file=/w/m.yaml,line=3,endLine=3,col=5,endColumn=8,title=registry REG105::/w/m.yaml:3:5: odd [REG105]"
    )


@pytest.mark.parametrize(("severity", "name"), [("error", "error"), ("warning", "warning"), ("note", "notice")])
def test_severities_have_commands(severity: Severity, name: str) -> None:
    assert parsed(command(at(1, 1, 1, 2), severity=severity))[0] == name


def test_one_command_a_line() -> None:
    found = Diagnostic("REG105", "error", "one\ntwo", at(1, 1, 1, 2))
    assert [line[:8] for line in render([found, found]).split("\n")] == ["::error "] * 2
    assert render([]) == ""


def test_suggestion_and_related_places_belong_to_the_message() -> None:
    related = (
        Related("inherited here", at(7, 3, 7, 4, file="b.yaml")),
        Related("and here", at(1, 1, 1, 2, file="--set")),
    )
    line = render([Diagnostic("REG105", "error", "odd", at(3, 5, 3, 9), "write `a`", related)])
    assert line.endswith("::/w/m.yaml:3:5: odd; write `a` [REG105]%0Ab.yaml:7:3: inherited here%0A--set:1:1: and here")


def test_message_escapes() -> None:
    assert command(at(1, 1, 1, 2), "50%, a: b\r\n%0A").endswith("::/w/m.yaml:1:1: 50%25, a: b%0D%0A%250A [REG105]")


def test_property_escapes() -> None:
    line = command(at(1, 1, 1, 2, file="/w/a:b,c%d\r\n.yaml"))
    assert line.startswith("::error file=/w/a%3Ab%2Cc%25d%0D%0A.yaml,line=1,")


@pytest.mark.parametrize(
    ("span", "place"),
    [
        (at(2, 3, 2, 4), "line=2,endLine=2,col=3,endColumn=3"),
        (at(2, 3, 2, 3), "line=2,endLine=2,col=3,endColumn=3"),
        (at(2, 3, 4, 5), "line=2,endLine=4"),
        (at(2, 3, 4, 1), "line=2,endLine=3"),
        (at(2, 3, 3, 1), "line=2,endLine=2,col=3"),
    ],
    ids=["one character", "empty", "several lines", "up to a line's start", "one line with its break"],
)
def test_ends_are_inclusive_and_columns_need_one_line(span: Span, place: str) -> None:
    assert command(span).startswith(f"::error file=/w/m.yaml,{place},title=")


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, properties, message = parsed(command(at(1, 1, 1, 2, file="sub/../m.yaml")))
    assert properties["file"] == str(tmp_path / "m.yaml")
    assert message == "sub/../m.yaml:1:1: odd [REG105]"


@pytest.mark.parametrize("source", ["<stdin>", "--set", "overrides", "<a model>"])
def test_a_source_that_is_no_file_has_its_position_in_the_message_alone(source: str) -> None:
    assert command(at(3, 5, 3, 9, file=source)) == f"::error title=registry REG105::{source}:3:5: odd [REG105]"


def test_bytes_without_an_encoding_can_be_written() -> None:
    line = command(at(1, 1, 1, 2, file="/w/a\udcff.yaml"), "b\udcfe")
    assert parsed(line)[1]["file"] == "/w/a\ufffd.yaml"
    assert parsed(line)[2] == "/w/a\ufffd.yaml:1:1: b\ufffd [REG105]"


@given(st.text(), st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_reaches_the_annotation(message: str, file: str) -> None:
    path = f"/w/x{file}"
    line = command(at(1, 1, 1, 2, file=path), message)
    assert "\n" not in line
    assert "\r" not in line
    assert parsed(line) == (
        "error",
        {"file": path, "line": "1", "endLine": "1", "col": "1", "endColumn": "1", "title": "registry REG105"},
        f"{path}:1:1: {message} [REG105]",
    )
