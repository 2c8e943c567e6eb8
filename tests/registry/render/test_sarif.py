"""SARIF 2.1.0: the log fits the format's model, and says what the specification asks where the model checks nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sarif_pydantic import Sarif

from registry.diagnostics import Diagnostic, Fix, Related
from registry.render.sarif import as_data, render
from registry.source import Source, Span
from registry.specs import Severity

TITLES = {"REG101": "unknown key", "REG105": "a value that is none of the choices"}
TEXT = "kind: model\nact: relx\n"


def wrong(
    file: str = "m.yaml",
    *,
    text: str = TEXT,
    span: tuple[int, int, int, int] = (2, 6, 2, 10),
    severity: Severity = "error",
    message: str = "no such choice",
    rule: str = "REG105",
) -> Diagnostic:
    return Diagnostic(rule, severity, message, Span(Source(file, text), *span))


def run(*diagnostics: Diagnostic, pages: dict[str, str] | None = None) -> dict[str, Any]:
    """The one run, after the log has passed the model."""
    written = render(diagnostics, version="1.2.3", titles=TITLES, pages=pages or {})
    Sarif.model_validate_json(written)
    (found,) = json.loads(written)["runs"]
    assert isinstance(found, dict)
    return found


def result(diagnostic: Diagnostic) -> dict[str, Any]:
    (found,) = run(diagnostic)["results"]
    assert isinstance(found, dict)
    return found


def uri(file: str) -> dict[str, str]:
    found: dict[str, str] = result(wrong(file))["locations"][0]["physicalLocation"]["artifactLocation"]
    return found


def fingerprint(diagnostic: Diagnostic) -> str:
    found: str = result(diagnostic)["partialFingerprints"]["lineHash/v1"]
    return found


def test_the_whole_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = as_data([wrong()], version="1.2.3", titles=TITLES, pages={"REG105": "# REG105: page"})
    del log["runs"][0]["results"][0]["partialFingerprints"]
    assert log == {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Vision Registry",
                        "version": "1.2.3",
                        "rules": [
                            {
                                "id": "REG101",
                                "shortDescription": {"text": "unknown key"},
                                "defaultConfiguration": {"level": "error"},
                            },
                            {
                                "id": "REG105",
                                "shortDescription": {"text": "a value that is none of the choices"},
                                "help": {"text": "# REG105: page", "markdown": "# REG105: page"},
                                "defaultConfiguration": {"level": "error"},
                            },
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "newlineSequences": ["\r\n", "\n", "\r", "\x85", "\u2028", "\u2029"],
                "results": [
                    {
                        "ruleId": "REG105",
                        "ruleIndex": 1,
                        "level": "error",
                        "message": {"text": "no such choice"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": "m.yaml", "uriBaseId": "%SRCROOT%"},
                                    "region": {"startLine": 2, "startColumn": 6, "endLine": 2, "endColumn": 10},
                                }
                            }
                        ],
                    }
                ],
            }
        ],
    }


def extras(model: BaseModel) -> Iterator[str]:
    """Properties that the model does not know, anywhere in it."""
    yield from model.model_extra or ()
    for value in dict(model).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                yield from extras(item)


def test_no_property_is_of_our_own_making() -> None:
    span = Span(Source("m.yaml", TEXT), 2, 6, 2, 10)
    typed = Related("set here", Span(Source("--set"), 1, 4, 1, 5))
    found = Diagnostic("REG105", "note", "odd", span, "write `a`", (Related("here", span), typed), Fix(span, "a"))
    log = as_data([found], version="1.2.3", titles=TITLES, pages={"REG105": "# page"})
    assert list(extras(Sarif.model_validate(log))) == ["columnKind"]  # of section 3.14.17; the model lacks it


def test_a_log_without_results_says_that_nothing_was_found() -> None:
    assert run()["results"] == []  # an absent list would say that nothing was checked (section 3.14.23)


@pytest.mark.parametrize("severity", ["error", "warning", "note"])
def test_severities_are_levels(severity: Severity) -> None:
    found = run(wrong(severity=severity))
    assert found["results"][0]["level"] == severity
    assert found["tool"]["driver"]["rules"][1]["defaultConfiguration"] == {"level": severity}


def test_the_level_of_a_rule_is_its_gravest() -> None:
    found = run(wrong(severity="note"), wrong(severity="warning"))
    assert found["tool"]["driver"]["rules"][1]["defaultConfiguration"] == {"level": "warning"}


def test_a_rule_without_a_title_is_listed_behind_the_others() -> None:
    found = run(wrong(rule="NEW001"))
    assert found["tool"]["driver"]["rules"][2] == {"id": "NEW001", "defaultConfiguration": {"level": "error"}}
    assert found["results"][0]["ruleIndex"] == 2


def test_related_places_have_ids_and_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    span = Span(Source("m.yaml", TEXT), 2, 6, 2, 10)
    related = (
        Related("inherited here", Span(Source("b.yaml"), 1, 1, 2, 3)),
        Related("set here", Span(Source("--set"), 1, 4, 1, 5)),
    )
    assert result(Diagnostic("REG105", "error", "odd", span, None, related))["relatedLocations"] == [
        {
            "id": 1,
            "physicalLocation": {
                "artifactLocation": {"uri": "b.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 3},
            },
            "message": {"text": "inherited here"},
        },
        {"id": 2, "logicalLocations": [{"name": "--set"}], "message": {"text": "--set:1:4: set here"}},
    ]


def test_a_fix_is_a_replacement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    span = Span(Source("m.yaml", TEXT), 2, 6, 2, 10)
    found = result(Diagnostic("REG105", "note", "odd", span, "write `relu`", (), Fix(span, "{relu}")))
    assert found["message"] == {"text": "odd; write `relu`"}
    assert found["fixes"] == [
        {
            "description": {"text": "write `relu`"},
            "artifactChanges": [
                {
                    "artifactLocation": {"uri": "m.yaml", "uriBaseId": "%SRCROOT%"},
                    "replacements": [
                        {
                            "deletedRegion": {"startLine": 2, "startColumn": 6, "endLine": 2, "endColumn": 10},
                            "insertedContent": {"text": "{relu}"},
                        }
                    ],
                }
            ],
        }
    ]


def test_a_fix_that_only_deletes_inserts_nothing() -> None:
    span = Span(Source("m.yaml", TEXT), 2, 1, 3, 1)
    (fix,) = result(Diagnostic("REG105", "note", "odd", span, None, (), Fix(span, "")))["fixes"]
    assert list(fix) == ["artifactChanges"]
    assert list(fix["artifactChanges"][0]["replacements"][0]) == ["deletedRegion"]


@pytest.mark.parametrize("source", ["<stdin>", "--set", "overrides"])
def test_a_source_that_is_no_file_is_named_and_not_fixed(source: str) -> None:
    span = Span(Source(source, "a=b"), 1, 3, 1, 4)
    found = result(Diagnostic("REG105", "note", "odd", span, None, (), Fix(span, "c")))
    assert found["locations"] == [{"logicalLocations": [{"name": source}], "message": {"text": f"{source}:1:3"}}]
    assert "fixes" not in found


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a/b.yaml", "a/b.yaml"),
        ("./a//b.yaml", "a/b.yaml"),
        ("a b#c?.yaml", "a%20b%23c%3F.yaml"),
        ("100%.yaml", "100%25.yaml"),
        ("a:b.yaml", "a%3Ab.yaml"),
        ("sör.yaml", "s%C3%B6r.yaml"),  # the example of section 3.10.4
        ("a\udcff.yaml", "a%FF.yaml"),
        ("a/../b.yaml", "b.yaml"),
    ],
)
def test_paths_below_the_working_folder(
    file: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    assert uri(file) == {"uri": expected, "uriBaseId": "%SRCROOT%"}
    assert uri(f"{tmp_path}/{file}") == {"uri": expected, "uriBaseId": "%SRCROOT%"}


def test_paths_outside_the_working_folder_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert uri("/o p/m.yaml") == {"uri": "file:///o%20p/m.yaml"}
    assert uri("../m.yaml") == {"uri": f"file://{tmp_path}/m.yaml"}


def test_a_parent_folder_is_where_links_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "far" / "sub").mkdir(parents=True)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "far" / "sub")
    monkeypatch.chdir(tmp_path / "work")
    assert uri("link/../m.yaml") == {"uri": f"file://{tmp_path}/far/m.yaml"}  # section 3.10.2, step 4


def test_braces_of_a_message_are_no_placeholders() -> None:
    assert result(wrong(message="`x{2}` and {a}"))["message"] == {"text": "`x{{2}}` and {{a}}"}  # section 3.11.5


def test_fingerprints_are_digests() -> None:
    assert re.fullmatch("[0-9a-f]{64}", fingerprint(wrong()))


def test_a_fingerprint_survives_other_lines_indents_and_wordings() -> None:
    moved = wrong(text="# new\n\nkind: model\n  act: relx\n", span=(4, 8, 4, 12), message="no such choice on line 4")
    assert fingerprint(moved) == fingerprint(wrong())


def test_fingerprints_tell_rules_lines_and_repetitions_apart() -> None:
    twice = wrong(text="act: relx\nact: relx\n", span=(1, 6, 1, 10)), wrong(text="act: relx\nact: relx\n")
    others = [wrong(), wrong(rule="REG101"), wrong(text="kind: model\nact: rely\n")]
    prints = [r["partialFingerprints"]["lineHash/v1"] for r in run(*twice)["results"]] + [*map(fingerprint, others)]
    assert prints[0] == prints[2]
    assert len(set(prints)) == 4


def test_equal_lines_of_two_files_have_one_fingerprint_each() -> None:
    both = run(wrong("a.yaml"), wrong("b.yaml"))["results"]  # readers add the path themselves (appendix B)
    assert both[0]["partialFingerprints"] == both[1]["partialFingerprints"]


@given(
    st.text(st.characters()), st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
)
def test_any_text_gives_a_valid_log(message: str, file: str) -> None:
    span = Span(Source(f"/w/x{file}", message), 1, 1, 1, 2)
    found = Diagnostic("REG105", "error", message, span, message, (Related(message, span),), Fix(span, message))
    written = render([found], version="1", titles=TITLES)
    written.encode("ascii")
    Sarif.model_validate_json(written)
    (read,) = json.loads(written)["runs"][0]["results"]
    valid = re.sub("[\ud800-\udfff]", "\ufffd", message)
    assert read["relatedLocations"][0]["message"]["text"].replace("{{", "{").replace("}}", "}") == valid
    assert re.fullmatch(
        r"file:///w/x(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+",
        read["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
    )
