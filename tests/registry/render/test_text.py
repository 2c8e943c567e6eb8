"""Diagnostics for people: carets stand under the characters they mean, whatever a terminal makes of the line.

Cells are counted by hand, with the widths of Unicode's East Asian Width annex (UAX 11): W and F take two.
"""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.diagnostics import Diagnostic, Related
from registry.render.text import render, summary
from registry.source import Source, Span
from registry.specs import Severity

RED, YELLOW, BLUE, BOLD, OFF = "\033[31m", "\033[33m", "\033[34m", "\033[1m", "\033[0m"


def wrong(text: str, start: tuple[int, int], end: tuple[int, int], severity: Severity = "error") -> Diagnostic:
    return Diagnostic("REG105", severity, "no such choice", Span(Source("m.yaml", text), *start, *end))


def excerpt(text: str, start: tuple[int, int], end: tuple[int, int]) -> list[str]:
    """What stands below the first line."""
    return render([wrong(text, start, end)]).split("\n")[1:]


def test_a_diagnostic_shows_position_line_and_notes() -> None:
    source = Source("m.yaml", "kind: model\nact: relx\n")
    parent = Source("base.yaml", "extends: m\n")
    related = Related("the document that inherits it", Span(parent, 1, 10, 1, 11))
    found = Diagnostic(
        "REG105", "error", "no such choice", Span(source, 2, 6, 2, 10), "did you mean `relu`?", (related,)
    )
    assert render([found]) == (
        "m.yaml:2:6: error: no such choice [REG105]\n"
        "2 | act: relx\n"
        "  |      ^^^^\n"
        "  help: did you mean `relu`?\n"
        "  note: base.yaml:1:10: the document that inherits it"
    )


def test_a_blank_line_stands_between_diagnostics() -> None:
    first = wrong("a", (1, 1), (1, 2))
    assert render([first, first]) == "\n\n".join(["m.yaml:1:1: error: no such choice [REG105]\n1 | a\n  | ^"] * 2)
    assert render([]) == ""


@pytest.mark.parametrize(("severity", "tone"), [("error", RED), ("warning", YELLOW), ("note", BLUE)])
def test_colour_follows_the_severity(severity: Severity, tone: str) -> None:
    found = Diagnostic("REG105", severity, "odd", Span(Source("m.yaml", "a: b"), 1, 4, 1, 5), "write c")
    assert render([found], color=True) == (
        f"{BOLD}m.yaml:1:4{OFF}: {tone}{severity}{OFF}: odd {tone}[REG105]{OFF}\n"
        f"1 | a: b\n"
        f"  |    {tone}^{OFF}\n"
        f"  {BLUE}help{OFF}: write c"
    )


def test_a_tab_takes_four_cells() -> None:
    assert excerpt("a:\tb\tc", (1, 4), (1, 5)) == ["1 | a:    b    c", "  |       ^"]


def test_a_tab_inside_the_span_is_underlined() -> None:
    assert excerpt("a: b\tc", (1, 4), (1, 7)) == ["1 | a: b    c", "  |    ^^^^^^"]


def test_wide_characters_take_two_cells() -> None:
    assert excerpt("名前: 値x", (1, 5), (1, 6)) == ["1 | 名前: 値x", "  |       ^^"]
    assert excerpt("名前: 値x", (1, 6), (1, 7)) == ["1 | 名前: 値x", "  |         ^"]
    assert excerpt("Ａ: b", (1, 1), (1, 2)) == ["1 | Ａ: b", "  | ^^"]  # noqa: RUF001  # a wide letter is the point
    assert excerpt("🎈: b", (1, 4), (1, 5)) == ["1 | 🎈: b", "  |     ^"]


def test_combining_characters_take_none() -> None:
    line = "cafe\u0301: x"  # e and an acute accent: four cells
    assert excerpt(line, (1, 1), (1, 6)) == [f"1 | {line}", "  | ^^^^"]
    assert excerpt(line, (1, 8), (1, 9)) == [f"1 | {line}", "  |       ^"]


def test_a_span_that_starts_at_a_combining_character_marks_its_base() -> None:
    assert excerpt("cafe\u0301: x", (1, 5), (1, 6)) == ["1 | cafe\u0301: x", "  |    ^"]


def test_what_a_terminal_cannot_show_takes_one_cell() -> None:
    assert excerpt("a\x1b[31m: b", (1, 9), (1, 10)) == ["1 | a\ufffd[31m: b", "  |         ^"]
    assert excerpt("a\u202eb: c", (1, 6), (1, 7)) == ["1 | a\ufffdb: c", "  |      ^"]
    assert excerpt("a\ud800: b", (1, 5), (1, 6)) == ["1 | a\ufffd: b", "  |     ^"]
    assert excerpt("a:\u00a0b", (1, 3), (1, 4)) == ["1 | a:\u00a0b", "  |   ^"]


def test_a_long_line_is_cut_behind_the_span() -> None:
    line, marks = excerpt("key: " + "x" * 300, (1, 1), (1, 4))
    assert line == "1 | key: " + "x" * 153 + "…"
    assert marks == "  | ^^^"


def test_a_long_line_is_cut_before_the_span() -> None:
    line, marks = excerpt("x" * 300 + " end", (1, 302), (1, 305))
    assert line == "1 | …" + "x" * 154 + " end"
    assert marks == "  | " + " " * 156 + "^^^"


def test_a_long_line_is_cut_on_both_sides() -> None:
    line, marks = excerpt("x" * 300 + "HERE" + "y" * 300, (1, 301), (1, 305))
    assert line == "1 | …" + "x" * 52 + "HERE" + "y" * 102 + "…"
    assert marks == "  | " + " " * 53 + "^^^^"


def test_a_span_wider_than_the_screen_is_marked_as_far_as_it_is_shown() -> None:
    line, marks = excerpt("a: " + "x" * 300, (1, 4), (1, 304))
    assert line == "1 | a: " + "x" * 155 + "…"
    assert marks == "  |    " + "^" * 155


def test_a_long_line_of_wide_characters_is_cut_by_cells() -> None:
    line, marks = excerpt("値" * 300, (1, 200), (1, 201))
    assert line == "1 | …" + "値" * 79 + "…"
    assert marks == "  | " + " " * 53 + "^^"


def test_a_line_of_the_greatest_width_is_whole() -> None:
    assert excerpt("x" * 160, (1, 160), (1, 161)) == ["1 | " + "x" * 160, "  | " + " " * 159 + "^"]


def test_carriage_returns_are_no_part_of_a_line() -> None:
    assert excerpt("a: 1\r\nb: 2\r\n", (2, 4), (2, 5)) == ["2 | b: 2", "  |    ^"]
    assert excerpt("a: 1\r\nb: 2\r\n", (1, 4), (2, 1)) == ["1 | a: 1", "  |    ^"]


def test_a_span_over_several_lines_is_marked_to_the_end_of_the_first() -> None:
    assert excerpt("  act: [a,  \n  b]\n", (1, 8), (2, 5)) == ["1 |   act: [a,  ", "  |        ^^^"]


def test_an_empty_span_gets_one_caret() -> None:
    assert excerpt("a: b", (1, 4), (1, 4)) == ["1 | a: b", "  |    ^"]
    assert excerpt("a: b", (1, 5), (1, 5)) == ["1 | a: b", "  |     ^"]


def test_without_text_there_is_no_excerpt() -> None:
    assert excerpt("", (1, 1), (1, 1)) == []
    assert excerpt("a\n  \nb", (2, 1), (2, 2)) == []
    assert excerpt("a", (7, 1), (7, 2)) == []


def test_the_gutter_grows_with_the_number() -> None:
    assert excerpt("\n" * 99 + "a: b", (100, 4), (100, 5)) == ["100 | a: b", "    |    ^"]


def test_texts_of_a_document_cannot_steer_the_terminal() -> None:
    span = Span(Source("a\nb\udcff.yaml"), 1, 1, 1, 1)
    found = Diagnostic("REG101", "error", "unknown key `\x1b[2J`", span, "not \x07", (Related("\r", span),))
    assert render([found]) == (
        "a\\nb\\udcff.yaml:1:1: error: unknown key `\\x1b[2J` [REG101]\n"
        "  help: not \\x07\n"
        "  note: a\\nb\\udcff.yaml:1:1: \\r"
    )


@given(st.text(), st.integers(1, 400), st.integers(1, 400))
def test_any_line_has_carets_within_it(text: str, start: int, end: int) -> None:
    lines = excerpt(text, (1, start), (1, end))
    assert len(lines) in (0, 2)
    if lines:
        assert not {unicodedata.category(c) for c in lines[0]} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert set(lines[1][4:]) <= {" ", "^"}
        assert lines[1].count("^") >= 1
        assert len(lines[1]) <= 4 + 160 + 1  # the place behind the last character counts


def test_the_summary_counts_by_severity() -> None:
    severities: tuple[Severity, ...] = ("error", "error", "warning", "note")
    assert summary([wrong("a", (1, 1), (1, 2), s) for s in severities]) == "2 errors, 1 warning, 1 note"
    assert summary([wrong("a", (1, 1), (1, 2), "warning")] * 2) == "2 warnings"
    assert summary([]) == "no problems"
