"""JUnit XML: one suite and one test a file, in what GitLab's and Jenkins's readers understand, and always XML 1.0."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.diagnostics import Diagnostic
from registry.render.junit import render
from registry.source import Source, Span
from registry.specs import Severity


def wrong(file: str, severity: Severity = "error", message: str = "no such choice") -> Diagnostic:
    return Diagnostic("REG105", severity, message, Span(Source(file, "act: relx"), 1, 6, 1, 10))


def read(written: str) -> ElementTree.Element:
    return ElementTree.fromstring(written.encode("ascii"))


def test_a_file_without_problems_passes() -> None:
    assert render([], files=["a.yaml"]) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<testsuites name="registry validate" tests="1" failures="0" errors="0">\n'
        '  <testsuite name="a.yaml" tests="1" failures="0" errors="0" skipped="0">\n'
        '    <testcase classname="registry.validate" name="a.yaml" file="a.yaml" />\n'
        "  </testsuite>\n"
        "</testsuites>"
    )


def test_no_file_is_an_empty_report() -> None:
    assert render([], files=[]).endswith('<testsuites name="registry validate" tests="0" failures="0" errors="0" />')


def test_errors_are_one_failure() -> None:
    root = read(render([wrong("a.yaml"), wrong("a.yaml", message="a < b")], files=["a.yaml", "b.yaml"]))
    assert root.attrib == {"name": "registry validate", "tests": "2", "failures": "1", "errors": "0"}
    failed, passed = root
    assert failed.attrib == {"name": "a.yaml", "tests": "1", "failures": "1", "errors": "0", "skipped": "0"}
    assert passed.attrib == {"name": "b.yaml", "tests": "1", "failures": "0", "errors": "0", "skipped": "0"}
    (case,) = failed
    (failure,) = case
    assert failure.tag == "failure"
    assert failure.attrib == {"message": "no such choice (and 1 more)", "type": "REG105"}
    assert failure.text == (
        "a.yaml:1:6: error: no such choice [REG105]\n1 | act: relx\n  |      ^^^^\n\n"
        "a.yaml:1:6: error: a < b [REG105]\n1 | act: relx\n  |      ^^^^"
    )


def test_warnings_and_notes_are_output_of_a_test_that_passes() -> None:
    root = read(render([wrong("a.yaml", "warning"), wrong("a.yaml", "note")], files=["a.yaml"]))
    assert root.get("failures") == "0"
    ((case,),) = root
    (output,) = case
    assert output.tag == "system-out"
    assert output.text == (
        "a.yaml:1:6: warning: no such choice [REG105]\n1 | act: relx\n  |      ^^^^\n\n"
        "a.yaml:1:6: note: no such choice [REG105]\n1 | act: relx\n  |      ^^^^"
    )


@pytest.mark.parametrize(("severity", "tag"), [("error", "failure"), ("warning", "failure"), ("note", "system-out")])
def test_a_strict_report_fails_for_warnings(severity: Severity, tag: str) -> None:
    root = read(render([wrong("a.yaml", severity)], files=["a.yaml"], strict=True))
    assert [element.tag for element in root[0][0]] == [tag]


def test_the_failure_stands_before_the_output() -> None:
    root = read(render([wrong("a.yaml", "note"), wrong("a.yaml")], files=["a.yaml"]))
    assert [element.tag for element in root[0][0]] == ["failure", "system-out"]


def test_sources_beside_the_validated_files_follow_them() -> None:
    root = read(render([wrong("<stdin>"), wrong("parent.yaml")], files=["a.yaml", "a.yaml"]))
    assert [suite.get("name") for suite in root] == ["a.yaml", "<stdin>", "parent.yaml"]
    assert [suite[0].get("file") for suite in root] == ["a.yaml", None, "parent.yaml"]
    assert root.get("tests") == "3"


def test_characters_that_xml_forbids_are_replaced() -> None:
    root = read(render([wrong("a\x01\udcff\ufffe\U00010000.yaml", message="b\x00\x1b\ud800")], files=[]))
    assert root[0].get("name") == "a\ufffd\ufffd\ufffd\U00010000.yaml"
    assert root[0][0][0].get("message") == "b\ufffd\ufffd\ufffd"


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_is_valid_xml(message: str, file: str) -> None:
    root = read(render([wrong(file, message=message), wrong(file, "note", message)], files=[file]))
    legal = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    ((case,),) = root
    assert case.get("name") == legal.sub("\ufffd", file)
    assert case[0].get("message") == legal.sub("\ufffd", message)
