"""The verb `validate`: which documents it looks at, what it tells of them, where, and with which exit code."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple
from xml.etree import ElementTree

import pytest

import registry
from registry.cli.group import main
from registry.registry import Registry
from registry.source import Node, read_file
from registry.specs import BackboneSpec, FeatureMap, Finding, HeadSpec, Severity, TaskSpec

FORMATS = ["text", "json", "github", "sarif", "junit"]


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: object, stdin: bytes = b"") -> Done:
    """`registry validate` with some arguments."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "argv", ["registry", "validate", *map(str, arguments)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # `main` replaces it
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as done:
            code = done.code or 0
    assert isinstance(code, int), code
    return Done(code, out.getvalue(), err.getvalue())


def found(*arguments: object, stdin: bytes = b"") -> list[str]:
    """What is told, as `file:line:column rule`."""
    told = json.loads(run(*arguments, "--format", "json", stdin=stdin).out)
    return [f"{d['file']}:{d['line']}:{d['column']} {d['rule']}" for d in told]


def heir(*lines: str, name: str = "mine", extends: str = "mobilenet_v3_small") -> str:
    """A document of which the first of `lines` is line 4."""
    return "\n".join([f"kind: model\nname: {name}\nextends: {extends}", *lines]) + "\n"


def wrong(name: str) -> str:
    """A document with one mistake, at 4:7."""
    return heir("head: 3", name=name)


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, on no service that runs checks."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return folder


# ---- which documents -------------------------------------------------------------------------------------------------


def test_a_file_that_is_right_has_no_problems() -> None:
    write({"m.yaml": heir()})
    assert run("m.yaml") == Done(0, "1 file: no problems\n", "")


def test_folders_are_searched_to_the_bottom_and_hidden_ones_left_out() -> None:
    names = ["specs/a.yaml", "specs/b.yml", "specs/deep/er/c.yaml", "specs/.git/d.yaml", "specs/deep/.cache/e.yaml"]
    write({name: wrong(Path(name).stem) for name in names})
    write({"specs/notes.txt": "x: [", "specs/data.json": "[", "specs/f.yaml.bak": "x: [", "beside.yaml": "x: ["})
    told = run("specs")
    assert [line for line in told.out.splitlines() if ": error:" in line] == [
        f"specs/{name}:4:7: error: expected a mapping, got 3 [REG103]" for name in ("a.yaml", "b.yml", "deep/er/c.yaml")
    ]
    assert told.out.endswith("\n\n3 files: 3 errors\n")
    assert (told.code, told.err) == (1, "")


def test_a_hidden_folder_is_searched_when_it_is_named() -> None:
    write({".hidden/m.yaml": wrong("a")})
    assert found(".hidden") == [".hidden/m.yaml:4:7 REG103"]


def test_a_file_is_read_whatever_its_suffix() -> None:
    write({"m.json": '{"kind": "model",\n"name": "a",\n"extends": "mobilenet_v3_small",\n"head": 3}', "n": wrong("b")})
    assert found("m.json", "n") == ["m.json:4:9 REG103", "n:4:7 REG103"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write({"specs/m.yaml": heir(), "../elsewhere/n.yaml": wrong("a")})
    Path("specs/link").symlink_to(tmp_path / "elsewhere")
    Path("specs/circle").symlink_to(Path.cwd())
    assert run("specs").out == "1 file: no problems\n"


def test_standard_input_is_one_more_text() -> None:
    assert found("-", stdin=wrong("a").encode()) == ["<stdin>:4:7 REG103"]
    write({"m.yaml": wrong("b")})
    told = run("m.yaml", "-", stdin=wrong("a").encode())
    assert told.out.endswith("2 files: 2 errors\n")
    assert told.code == 1


def test_paths_on_standard_input_are_relative_to_the_working_folder() -> None:
    write({"p.yaml": heir("head: {dropout: 2}", name="parent")})
    told = run("-", stdin=heir(extends="./p.yaml").encode())
    assert told.out == (
        "p.yaml:4:17: error: must be less than 1, got 2 [REG104]\n"
        "4 | head: {dropout: 2}\n"
        "  |                 ^\n"
        "  note: <stdin>:2:7: inherited by the model `mine`\n"
        "\n1 file: 1 error\n"
    )


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_standard_input_without_a_document_is_worth_a_warning(data: bytes) -> None:
    assert found("-", stdin=data) == ["<stdin>:1:1 REG115"]
    assert run("-", stdin=data).code == 0
    assert run("-", "--strict", stdin=data).code == 1


def test_every_document_of_a_file_is_checked() -> None:
    write({"m.yaml": "---\n".join([wrong("a"), heir(name="b"), "- 1\n", "kind: modell\nname: c\n", wrong("d")])})
    assert found("m.yaml") == [
        "m.yaml:4:7 REG103",
        "m.yaml:10:1 REG103",
        "m.yaml:12:7 REG106",
        "m.yaml:18:7 REG103",
    ]


def test_names_must_differ_across_files_and_standard_input() -> None:
    write({"a.yaml": heir(), "sub/b.yaml": heir("aliases: [other, mine]", name="second"), "c.yaml": heir(name="other")})
    told = json.loads(run("a.yaml", "sub", "c.yaml", "-", "--format", "json", stdin=heir().encode()).out)
    assert [(d["file"], d["line"], d["column"], d["message"]) for d in told] == [
        ("<stdin>", 2, 7, "the model name `mine` is taken by a.yaml"),
        ("c.yaml", 2, 7, "the model name `other` is taken by sub/b.yaml"),
        ("sub/b.yaml", 4, 18, "the model name `mine` is taken by a.yaml"),
    ]
    assert {d["rule"] for d in told} == {"REG110"}
    assert [(d["related"][0]["file"], d["related"][0]["line"], d["related"][0]["column"]) for d in told] == [
        ("a.yaml", 2, 7),
        ("sub/b.yaml", 4, 11),
        ("a.yaml", 2, 7),
    ]


def test_documents_of_different_kinds_may_share_a_name() -> None:
    write({"m.yaml": heir() + "---\nkind: backbone\nname: mine\nextends: mobilenet_v3_small\n"})
    assert run("m.yaml").code == 0


def test_two_runs_know_nothing_of_each_other() -> None:
    write({"a.yaml": heir(), "b.yaml": heir()})
    assert [run("a.yaml").code, run("b.yaml").code, run("a.yaml", "b.yaml").code] == [0, 0, 1]


def test_a_file_given_twice_is_read_once(workplace: Path) -> None:
    write({"specs/m.yaml": wrong("a")})
    Path("link.yaml").symlink_to("specs/m.yaml")
    asked = ["specs/m.yaml", "./specs/m.yaml", "specs", workplace / "specs" / "m.yaml", "specs/../specs", "link.yaml"]
    told = run(*asked)
    assert told.out.count("REG103") == 1
    assert told.out.startswith("specs/m.yaml:4:7: ")
    assert told.out.endswith("\n\n1 file: 1 error\n")


def test_standard_input_given_twice_is_read_once() -> None:
    assert run("-", "-", stdin=heir().encode()) == Done(0, "1 file: no problems\n", "")


@pytest.mark.parametrize("path", ["./m.yaml", "specs/../m.yaml"])
def test_a_file_has_one_name_however_it_was_reached(path: str, workplace: Path) -> None:
    write({"m.yaml": wrong("a"), "specs/n.yaml": heir()})
    assert found(path) == ["m.yaml:4:7 REG103"]
    assert found(workplace / "m.yaml") == ["m.yaml:4:7 REG103"]


def test_a_file_elsewhere_is_named_as_it_was_given(tmp_path: Path) -> None:
    write({"../elsewhere/m.yaml": wrong("a")})
    assert found("../elsewhere/m.yaml") == ["../elsewhere/m.yaml:4:7 REG103"]
    assert found(tmp_path / "elsewhere") == [f"{tmp_path}/elsewhere/m.yaml:4:7 REG103"]


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["b.yaml"], ["a.yaml", "sub/c.yaml"]),
        (["*.yaml"], []),
        (["sub"], ["a.yaml", "b.yaml"]),
        (["sub/"], ["a.yaml", "b.yaml"]),
        (["sub/*"], ["a.yaml", "b.yaml"]),
        (["sub/b.yaml"], ["a.yaml", "b.yaml", "sub/c.yaml"]),
        (["[bc].yaml"], ["a.yaml"]),
        (["a.yaml", "sub"], ["b.yaml"]),
        (["A.yaml", "specs", "specs/a.yaml", "/a.yaml", ""], ["a.yaml", "b.yaml", "sub/b.yaml", "sub/c.yaml"]),
    ],
)
def test_what_matches_is_left_out(patterns: list[str], kept: list[str]) -> None:
    write(
        {
            f"specs/{path}": wrong(path[:-5].replace("/", "-"))
            for path in ("a.yaml", "b.yaml", "sub/b.yaml", "sub/c.yaml")
        }
    )
    options = [word for pattern in patterns for word in ("--exclude", pattern)]
    done = run("specs", *options, "--format", "json")
    if kept:
        assert [d["file"] for d in json.loads(done.out)] == [f"specs/{path}" for path in kept]
    else:
        assert done.code == 2


def test_a_file_that_is_named_is_never_left_out() -> None:
    write({"a.yaml": wrong("a")})
    assert found("a.yaml", "--exclude", "*.yaml") == ["a.yaml:4:7 REG103"]


# ---- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["empty"], ["m.yaml", "empty"], [".", "--exclude", "*"]])
def test_a_folder_without_documents_is_a_wrong_use(arguments: list[str]) -> None:
    write({"m.yaml": heir(), "empty/notes.txt": ""})
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    expected = "`.`, or --exclude leaves out all there is" if "--exclude" in arguments else "`empty`"
    assert done.err.endswith(f"Error: there is no *.yaml or *.yml below {expected}\n")


@pytest.mark.parametrize("option", ["--no-such", "--format=xml", "--output=."])
def test_an_option_that_is_none_is_a_wrong_use(option: str) -> None:
    write({"m.yaml": heir()})
    done = run("m.yaml", option)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err


def test_a_path_that_is_not_there_is_an_error_among_others() -> None:
    write({"m.yaml": wrong("a")})
    done = run("gone.yaml", "m.yaml", "gone/folder")
    assert done.code == 1
    assert found("gone.yaml", "m.yaml", "gone/folder") == [
        "gone.yaml:1:1 REG001",
        "gone/folder:1:1 REG001",
        "m.yaml:4:7 REG103",
    ]
    assert done.out.endswith("3 files: 3 errors\n")


def test_a_file_name_that_is_no_text_is_shown_all_the_same() -> None:
    name = os.fsdecode(b"caf\xe9.yaml")
    write({name: wrong("a")})
    for output_format in FORMATS:
        done = run(name, "--format", output_format)
        assert done.code == 1, output_format
        assert "REG103" in done.out


# ---- strictness ------------------------------------------------------------------------------------------------------


class Eye(BackboneSpec):
    """One map; narrow eyes are worth a remark."""

    type: Literal["eye"] = "eye"
    told: Literal["nothing", "note", "warning", "error"] = "nothing"

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="c1", channels=8, stride=4, module="a"),)

    def check(self) -> Iterator[Finding]:
        severities: dict[str, Severity] = {"note": "note", "warning": "warning", "error": "error"}
        if self.told in severities:
            yield Finding("REG201", ("told",), "a remark", None, severities[self.told])


class Mouth(HeadSpec):
    """Speaks."""

    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"


class Speaking(TaskSpec):
    """The task."""

    type: Literal["speaking"] = "speaking"


FACE = "kind: model\nname: face\ntask: {type: speaking}\nhead: {type: mouth, num_classes: 2}\nbackbone: {type: eye}\n"


class Plugin:
    """The parts above, and the documents of a package."""

    @registry.hookimpl
    def registry_parts(self, register: Any) -> None:
        register.backbone("eye", spec="talking_parts:Eye", target="talking_parts:build", renames={"ocular": "0.3"})
        register.head("mouth", spec="talking_parts:Mouth", target="talking_parts:build")
        register.task("speaking", spec="talking_parts:Speaking", target="talking_parts:build")
        register.catalog("talking", "catalog")


@pytest.fixture
def talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one plugin, whose catalog is this folder."""
    module = ModuleType("talking_parts")
    module.__dict__.update(Eye=Eye, Mouth=Mouth, Speaking=Speaking)
    monkeypatch.setitem(sys.modules, "talking_parts", module)
    catalog = tmp_path / "site" / "talking" / "catalog"
    catalog.mkdir(parents=True)
    (catalog / "face.yaml").write_text(FACE + "renames: {visage: '0.3'}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    made = Registry([Plugin()])
    monkeypatch.setattr(registry, "default_registry", lambda: made)
    return catalog


@pytest.mark.usefixtures("talking")
@pytest.mark.parametrize(
    ("told", "code", "strict", "counted"),
    [
        ("nothing", 0, 0, "no problems"),
        ("note", 0, 0, "1 note"),
        ("warning", 0, 1, "1 warning"),
        ("error", 1, 1, "1 error"),
    ],
)
def test_strict_counts_warnings_and_no_notes(told: str, code: int, strict: int, counted: str) -> None:
    write({"m.yaml": f"kind: model\nname: mine\nextends: face\nbackbone: {{told: {told}}}\n"})
    usual, severe = run("m.yaml"), run("m.yaml", "--strict")
    assert (usual.code, severe.code) == (code, strict)
    assert usual.out == severe.out
    assert usual.out.splitlines()[-1] == f"1 file: {counted}"


@pytest.mark.usefixtures("talking")
@pytest.mark.parametrize(("told", "failures"), [("note", ["0", "0"]), ("warning", ["0", "1"]), ("error", ["1", "1"])])
def test_a_test_report_fails_as_the_verb_does(told: str, failures: list[str]) -> None:
    write({"m.yaml": f"kind: model\nname: mine\nextends: face\nbackbone: {{told: {told}}}\n"})
    reports = [run("m.yaml", "--format", "junit", *options).out for options in ([], ["--strict"])]
    assert [ElementTree.fromstring(report).get("failures") for report in reports] == failures


@pytest.mark.usefixtures("talking")
def test_a_warning_that_the_author_accepts_is_not_told() -> None:
    write({"m.yaml": "kind: model\nname: mine\nextends: face\nbackbone: {told: warning}\naccepts: [REG201]\n"})
    assert run("m.yaml", "--strict") == Done(0, "1 file: no problems\n", "")


# ---- the catalog -----------------------------------------------------------------------------------------------------


def test_without_paths_the_shipped_documents_are_checked_and_are_right() -> None:
    done = run()
    assert done.code == 0
    assert done.out.splitlines()[-1].partition(" files: ")[0].isdecimal()


def test_without_paths_a_mistake_in_the_catalog_is_told(talking: Path) -> None:
    (talking / "broken.yaml").write_text("kind: [", encoding="utf-8")
    (talking / "wrong.yaml").write_text("kind: model\nname: other\nextends: face\nhead: 3\n", encoding="utf-8")
    assert found() == [f"{talking}/broken.yaml:2:1 REG003", f"{talking}/wrong.yaml:4:7 REG103"]


def test_only_standard_input_is_asked_about_where_only_it_is_given(talking: Path) -> None:
    (talking / "broken.yaml").write_text("kind: [", encoding="utf-8")
    assert run("-", stdin=b"kind: model\nname: mine\nextends: face\n").out == "1 file: no problems\n"


@pytest.mark.usefixtures("talking")
def test_names_that_were_given_up_are_told_at_the_document_that_has_them() -> None:
    write({"m.yaml": "kind: model\nname: mine\nextends: visage\nbackbone: {type: ocular}\n"})
    assert found("m.yaml") == ["m.yaml:3:10 REG114", "m.yaml:4:18 REG114"]
    assert [run("m.yaml").code, run("m.yaml", "--strict").code] == [0, 1]


@pytest.mark.parametrize(
    ("renames", "told"),
    [
        ("{old: '0.3'}", []),
        ("{old: 0.3}", ["m.yaml:4:16 REG103"]),
        ("[old]", ["m.yaml:4:1 REG103"]),
        ("old", ["m.yaml:4:10 REG103"]),
        ("{old: [1]}", ["m.yaml:4:11 REG103"]),
    ],
)
@pytest.mark.parametrize("kind", ["model", "backbone"])
def test_the_names_that_a_document_gave_up_are_texts(renames: str, told: list[str], kind: str) -> None:
    write({"m.yaml": f"kind: {kind}\nname: mine\nextends: mobilenet_v3_small\nrenames: {renames}\n"})
    assert found("m.yaml") == told


# ---- what is inherited -----------------------------------------------------------------------------------------------


def test_an_inherited_mistake_is_told_once_with_a_note() -> None:
    write({f"{name}.yaml": heir(name=name, extends="./p.yaml") for name in "abc"})
    write({"p.yaml": heir("head: {dropout: 2}", name="parent")})
    for asked in (["a.yaml"], ["a.yaml", "b.yaml", "c.yaml"]):
        (told,) = json.loads(run(*asked, "--format", "json").out)
        assert (told["file"], told["line"], told["rule"]) == ("p.yaml", 4, "REG104")
        assert [note["message"] for note in told["related"]] == ["inherited by the model `a`"]


def test_an_inherited_mistake_has_no_note_where_its_own_file_is_checked() -> None:
    write({"a.yaml": heir(extends="./p.yaml"), "p.yaml": heir("head: {dropout: 2}", name="parent")})
    (told,) = json.loads(run(".", "--format", "json").out)
    assert (told["file"], told["related"]) == ("p.yaml", [])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """How often each file was read."""
    counted: collections.Counter[str] = collections.Counter()

    def counting(path: str) -> list[Node]:
        counted[os.path.basename(path)] += 1
        return read_file(path)

    monkeypatch.setattr("registry.catalog.documents.read_file", counting)
    return counted


def test_a_parent_of_many_is_read_once(reads: collections.Counter[str]) -> None:
    write({f"specs/{n}.yaml": heir(name=f"m{n}", extends="../p.yaml") for n in range(20)})
    write({"p.yaml": heir(name="parent", extends="./q.yaml"), "q.yaml": heir(name="grandparent")})
    assert run("specs").out == "20 files: no problems\n"
    assert (reads["p.yaml"], reads["q.yaml"]) == (1, 1)
    assert set(reads.values()) == {1}


def test_a_parent_that_changed_is_read_again(reads: collections.Counter[str]) -> None:
    write({"m.yaml": heir(extends="./p.yaml"), "p.yaml": heir(name="parent")})
    made = Registry()
    assert made.validate("m.yaml") == ()
    assert made.validate("m.yaml") == ()
    assert reads["p.yaml"] == 1
    write({"p.yaml": heir("head: {dropout: 2}", name="parent")})
    assert [str(d.span) for d in made.validate("m.yaml")] == ["p.yaml:4:17"]
    assert reads["p.yaml"] == 2
    Path("p.yaml").unlink()
    assert [d.rule for d in made.validate("m.yaml")] == ["REG001"]
    write({"p.yaml": heir(name="parent")})
    assert made.validate("m.yaml") == ()


def test_a_parent_replaced_by_another_of_the_same_size_is_read_again() -> None:
    write({"m.yaml": heir(extends="./p.yaml"), "p.yaml": heir("head: {dropout: 0.5}", name="parent")})
    made = Registry()
    assert made.validate("m.yaml") == ()
    write({"new.yaml": heir("head: {dropout: 2.5}", name="parent")})
    os.replace("new.yaml", "p.yaml")
    assert [str(d.span) for d in made.validate("m.yaml")] == ["p.yaml:4:17"]


# ---- reports ---------------------------------------------------------------------------------------------------------


def test_the_report_goes_to_a_file_in_each_form_and_a_text_is_shown_too() -> None:
    write({"m.yaml": wrong("a"), "n.yaml": heir(name="b")})
    text = run(".").out
    for output_format in FORMATS:
        done = run(".", "--format", output_format, "--output", f"report.{output_format}")
        assert (done.code, done.out, done.err) == (1, text, "")
        written = Path(f"report.{output_format}").read_text(encoding="utf-8")
        assert written == run(".", "--format", output_format).out
    assert json.loads(Path("report.json").read_text())[0]["rule"] == "REG103"
    assert json.loads(Path("report.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "REG103"
    assert ElementTree.parse("report.junit").getroot().get("tests") == "2"
    assert Path("report.github").read_text().startswith("::error file=")


def test_a_file_gets_json_where_no_form_is_asked_for() -> None:
    write({"m.yaml": wrong("a")})
    done = run("m.yaml", "--output", "report")
    assert json.loads(Path("report").read_text())[0]["line"] == 4
    assert done == run("m.yaml")


def test_a_report_of_nothing_is_written_too() -> None:
    write({"m.yaml": heir()})
    assert run("m.yaml", "--output", "report.json") == Done(0, "1 file: no problems\n", "")
    assert json.loads(Path("report.json").read_text()) == []


def test_a_report_takes_the_place_of_an_older_one_whole() -> None:
    write({"m.yaml": heir(), "report.json": "x" * 10_000})
    run("m.yaml", "--output", "report.json")
    assert Path("report.json").read_text() == "[]\n"
    assert sorted(os.listdir()) == ["m.yaml", "report.json"]


@pytest.mark.parametrize("document", [heir(), wrong("a")], ids=["right", "wrong"])
def test_a_report_that_cannot_be_written_is_an_error(document: str) -> None:
    write({"m.yaml": document})
    done = run("m.yaml", "--output", "no/such/report.json")
    assert (done.code, done.err) == (
        1,
        "error: the report cannot be written to no/such/report.json: No such file or directory\n",
    )


def test_a_report_that_cannot_be_finished_leaves_the_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write({"m.yaml": heir(), "report.json": "older"})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run("m.yaml", "--output", "report.json")
    assert (done.code, done.err) == (
        1,
        "error: the report cannot be written to report.json: No space left on device\n",
    )
    assert Path("report.json").read_text() == "older"
    assert sorted(os.listdir()) == ["m.yaml", "report.json"]


def test_mistakes_are_shown_even_where_the_report_cannot_be_written() -> None:
    write({"m.yaml": wrong("a")})
    assert "REG103" in run("m.yaml", "--output", "no/such/report.json").out


def test_a_report_to_what_is_no_regular_file_does_not_take_its_place() -> None:
    write({"m.yaml": heir()})
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        run("m.yaml", "--output", "pipe")
        assert Path("pipe").is_fifo()
    finally:
        os.close(reader)


def test_under_github_actions_mistakes_are_annotations(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write({"m.yaml": wrong("a")})
    annotation = (
        f"::error file={workplace}/m.yaml,line=4,endLine=4,col=7,endColumn=7,title=registry REG103::"
        "m.yaml:4:7: expected a mapping, got 3 [REG103]\n1 file: 1 error\n"
    )
    assert run("m.yaml") == Done(1, annotation, "")
    assert run("m.yaml", "--output", "report.json").out == annotation
    assert json.loads(Path("report.json").read_text())[0]["rule"] == "REG103"
    assert run("m.yaml", "--format", "text").out.startswith("m.yaml:4:7: error: ")


@pytest.mark.parametrize("value", ["false", "", "1"])
def test_elsewhere_mistakes_are_texts(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", value)
    write({"m.yaml": wrong("a")})
    assert run("m.yaml").out.startswith("m.yaml:4:7: error: ")


# ---- what must not be lost, and where output cannot go ---------------------------------------------------------------


def test_the_report_never_replaces_a_file_that_is_checked() -> None:
    Path("m.yaml").write_text(heir())
    os.symlink("m.yaml", "link.json")
    for output in ("m.yaml", "./m.yaml", "link.json"):
        done = run("m.yaml", "--format", "json", "--output", output)
        assert done.code == 2
        assert f"`--output {output}` is one of the files to check" in done.err
        assert Path("m.yaml").read_text() == heir()


def test_every_part_of_an_unknown_name_is_told_at_once() -> None:
    lines = ["recipe: finetun", "quantization: int88", "backbone: resnet5", "head: foo", "task: detecton"]
    Path("m.yaml").write_text(heir(*lines))
    assert found("m.yaml") == [
        f"m.yaml:{number}:{line.index(':') + 3} REG108" for number, line in enumerate(lines, start=4)
    ]


def test_mistakes_that_are_not_told_are_counted_where_they_are() -> None:
    Path("m.yaml").write_text(heir(*(f"k{number}: 1" for number in range(400))))
    told = json.loads(run("m.yaml", "--format", "json").out)
    assert {each["file"] for each in told} == {"m.yaml"}
    (counted,) = [each for each in told if each["rule"] == "REG006"]
    assert (counted["line"], counted["column"]) == (304, 1)  # of the first of a hundred, 300 being told


CLOSED = {
    "a full disk": ("m.yaml > /dev/full", 1, "error: No space left on device"),
    "no output": ("m.yaml >&-", 1, ""),
    "no input": ("- <&-", 1, "error: there is no standard input to read; it is closed"),
    "no errors": ("m.yaml 2>&-", 1, ""),
    "a folder that is gone": (". ", 1, "error: No such file or directory"),
    "a terminal of few characters": ("m.yaml", 1, ""),
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("name", CLOSED)
def test_streams_that_fail_are_one_line(name: str, tmp_path: Path) -> None:
    words, code, told = CLOSED[name]
    Path("m.yaml").write_text(heir("hed: 1  # ünïcode ✓"))
    before = "mkdir gone && cd gone && rmdir ../gone && " if "gone" in name else ""
    env = {**os.environ, **({"PYTHONIOENCODING": "latin-1"} if "terminal" in name else {})}
    command = f"{before}{sys.executable} -m registry.cli validate {words}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, env=env)
    assert done.returncode == code
    assert done.stderr.decode().strip() == told
    if "terminal" in name:
        assert rb"\u2713" in done.stdout
