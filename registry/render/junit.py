"""Diagnostics as JUnit XML, which GitLab, Jenkins and others show as a list of tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from registry.diagnostics import Diagnostic
from registry.render import text
from registry.render.sources import is_file

#: What XML 1.0 (section 2.2) cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(diagnostics: Sequence[Diagnostic], *, files: Sequence[str], strict: bool = False) -> str:
    """A test suite with one test for each file, and for each other source that has a diagnostic.

    Args:
        files: names of the files that were validated; those without a problem pass.
        strict: warnings fail a test too.
    """
    found: dict[str, list[Diagnostic]] = {name: [] for name in files}
    for diagnostic in diagnostics:
        found.setdefault(diagnostic.span.file, []).append(diagnostic)
    failing = ("error", "warning") if strict else ("error",)
    suites = [_suite(name, about, failing) for name, about in found.items()]
    failures = sum(suite.get("failures") == "1" for suite in suites)
    root = _element("testsuites", name="registry validate", tests=len(suites), failures=failures, errors=0)
    root.extend(suites)
    ElementTree.indent(root)
    written = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=False).decode("ascii")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}'


def _suite(name: str, diagnostics: Sequence[Diagnostic], failing: Sequence[str]) -> ElementTree.Element:
    failures = [diagnostic for diagnostic in diagnostics if diagnostic.severity in failing]
    others = [diagnostic for diagnostic in diagnostics if diagnostic.severity not in failing]
    suite = _element("testsuite", name=name, tests=1, failures=int(bool(failures)), errors=0, skipped=0)
    # readers tell tests apart by class and name, and Jenkins splits the class at its last dot, so the path is no class
    case = _element("testcase", classname="registry.validate", name=name, **({"file": name} if is_file(name) else {}))
    if failures:  # one element: GitLab and Jenkins read no second one
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        failure = _element("failure", message=failures[0].text + more, type=failures[0].rule)
        failure.text = _safe(text.render(failures))
        case.append(failure)
    if others:
        output = _element("system-out")
        output.text = _safe(text.render(others))
        case.append(output)
    suite.append(case)
    return suite


def _element(tag: str, **attributes: str | int) -> ElementTree.Element:
    return ElementTree.Element(tag, {key: _safe(str(value)) for key, value in attributes.items()})


def _safe(value: str) -> str:
    return _FORBIDDEN.sub("\ufffd", value)
