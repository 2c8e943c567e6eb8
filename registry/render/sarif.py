"""Diagnostics as SARIF 2.1.0, the format of code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from registry.diagnostics import Diagnostic, Fix
from registry.render.sources import encodable, is_file
from registry.source import Span
from registry.specs import Severity

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_GRAVEST_FIRST: Final[tuple[Severity, ...]] = ("error", "warning", "note")
#: What ends a line for YAML; SARIF's own default is CR LF and LF.
_LINE_BREAKS: Final = ["\r\n", "\n", "\r", "\x85", "\u2028", "\u2029"]


def render(
    diagnostics: Sequence[Diagnostic], *, version: str, titles: Mapping[str, str], pages: Mapping[str, str] = {}
) -> str:
    """One SARIF log, in ASCII; the arguments are those of `as_data`."""
    return json.dumps(as_data(diagnostics, version=version, titles=titles, pages=pages), indent=2)


def as_data(
    diagnostics: Sequence[Diagnostic], *, version: str, titles: Mapping[str, str], pages: Mapping[str, str] = {}
) -> dict[str, Any]:
    """The log as plain data.

    Files below the working folder are named relative to it, which readers take for the root of the sources.

    Args:
        version: of this package.
        titles: what each rule means, by id.
        pages: Markdown that explains a rule, by id.
    """
    ids = list(dict.fromkeys([*titles, *(diagnostic.rule for diagnostic in diagnostics)]))
    index = {rule: position for position, rule in enumerate(ids)}
    fingerprints = _fingerprints(diagnostics)
    driver = {
        "name": "Vision Registry",
        "version": version,
        "rules": [_rule(rule, titles.get(rule), pages.get(rule), diagnostics) for rule in ids],
    }
    results = [_result(d, index[d.rule], print_) for d, print_ in zip(diagnostics, fingerprints, strict=True)]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "newlineSequences": _LINE_BREAKS,
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: str, title: str | None, page: str | None, diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """A rule; its level is that of its gravest result, as severities belong to diagnostics, not to rules."""
    seen = {diagnostic.severity for diagnostic in diagnostics if diagnostic.rule == rule}
    described: dict[str, Any] = {"id": rule}
    if title is not None:
        described["shortDescription"] = _message(title)
    if page is not None:
        described["help"] = {"text": page, "markdown": page}  # the text is mandatory
    level = next((severity for severity in _GRAVEST_FIRST if severity in seen), "error")
    return {**described, "defaultConfiguration": {"level": level}}


def _result(diagnostic: Diagnostic, index: int, fingerprint: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.rule,
        "ruleIndex": index,
        "level": diagnostic.severity,
        "message": _message(diagnostic.text),
        "locations": [_location(diagnostic.span)],
        "partialFingerprints": {"lineHash/v1": fingerprint},
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            {"id": number, **_location(related.span, related.message)}
            for number, related in enumerate(diagnostic.related, start=1)
        ]
    if diagnostic.fix is not None and is_file(diagnostic.fix.span.file):
        result["fixes"] = [_fix(diagnostic.fix, diagnostic.suggestion)]
    return result


def _fix(fix: Fix, suggestion: str | None) -> dict[str, Any]:
    replacement: dict[str, Any] = {"deletedRegion": _region(fix.span)}
    if fix.text:
        replacement["insertedContent"] = {"text": encodable(fix.text)}
    change = {"artifactLocation": _artifact(fix.span.file), "replacements": [replacement]}
    description = {"description": _message(suggestion)} if suggestion else {}
    return {**description, "artifactChanges": [change]}


def _location(span: Span, message: str | None = None) -> dict[str, Any]:
    """A span in a file; else the source's name, and the position in words."""
    if is_file(span.file):
        physical = {"physicalLocation": {"artifactLocation": _artifact(span.file), "region": _region(span)}}
        return physical if message is None else {**physical, "message": _message(message)}
    words = str(span) if message is None else f"{span}: {message}"
    return {"logicalLocations": [{"name": encodable(span.file)}], "message": _message(words)}


def _artifact(name: str) -> dict[str, Any]:
    # the format wants `..` resolved, and only the file system knows where links lead
    path = Path(os.path.realpath(name) if ".." in Path(name).parts else os.path.abspath(name))
    try:
        inside = path.relative_to(os.getcwd())
    except ValueError:
        return {"uri": path.as_uri()}
    return {"uri": quote(os.fsencode(inside.as_posix())), "uriBaseId": "%SRCROOT%"}


def _region(span: Span) -> dict[str, int]:
    """Both count from 1 and exclude the character at the end."""
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _message(text: str) -> dict[str, str]:
    """A plain text message, in which single braces would be placeholders (section 3.11.5)."""
    return {"text": encodable(text).replace("{", "{{").replace("}", "}}")}


def _fingerprints(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """What tells one result from another after lines moved: rule, the line without its indent, and which of equals it is.

    Messages stay out: some name lines.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    prints = []
    for diagnostic in diagnostics:
        span = diagnostic.span
        key = (span.file, diagnostic.rule, span.source.line(span.line).strip())
        seen[key] += 1
        text = "\0".join([*key[1:], str(seen[key])])
        prints.append(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    return prints
