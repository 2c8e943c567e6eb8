"""Names that were given up: how they are told, and what `registry validate --fix` makes of the files that have them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple

import pytest
from _pytest.mark.structures import ParameterSet

import registry
from registry.catalog import apply_fixes
from registry.cli.group import main
from registry.diagnostics import Diagnostic, Fix
from registry.errors import RegistryWarning, UnknownNameError
from registry.registry import Registry
from registry.source import Source, Span
from registry.specs import BackboneSpec, FeatureMap, HeadSpec, Listed, Rename, Spec, TaskSpec


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


def rules(*arguments: object, stdin: bytes = b"") -> list[str]:
    """What is told, as `file:line:column rule`."""
    told = json.loads(run(*arguments, "--format", "json", stdin=stdin).out)
    return [f"{d['file']}:{d['line']}:{d['column']} {d['rule']}" for d in told]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return folder


def write(name: str, text: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


HEAD = "kind: model\nname: mine\nextends: mobilenet_v3_small\n"
#: A document whose key `licence` was given up; `license` took its place.
OLD = f"{HEAD}weights:\n  MINE: {{source: ./w.pth, licence: MIT}}\n"
NEW = OLD.replace("licence", "license")


# ---- what a fix leaves as it was -------------------------------------------------------------------------------------

#: Texts in which the key `licence` is marked by angle brackets wherever a fix shall change it, and nothing else.
LAYOUTS: dict[str, str] = {
    "block style": f"{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    <licence>: MIT\n",
    "flow style": f"{HEAD}weights: {{MINE: {{source: ./w.pth, <licence>: MIT}}}}\n",
    "comments": f"# licence\n{HEAD}weights:  # licence: MIT\n  MINE:\n    # licence: MIT\n    <licence>:  # licence\n"
    "      MIT  # the licence\n    source: ./w.pth # licence\n# licence: MIT\n",
    "the name as a value": f"{HEAD}summary: licence\nweights: {{licence: {{source: ./licence.pth, <licence>: licence}}}}\n",
    "layout": f"{HEAD}\n\n\nweights :\n     MINE   :   {{ source  : ./w.pth ,\n\n   <licence>   :   MIT   }}   \n\n\n",
    "a tab before the value": f"{HEAD}weights: {{MINE: {{source:\t./w.pth,\t<licence>:\tMIT}}}}\t# x\n",
    "tabs in flow style": f"{HEAD}weights: {{\n\tMINE: {{\n\t\tsource: ./w.pth,\n\t\t<licence>: MIT}}}}\n",
    "no line end at the end": f"{HEAD}weights: {{MINE: {{source: ./w.pth, <licence>: MIT}}}}",
    "several in one line": f"{HEAD}weights: {{A: {{<licence>: MIT, source: ./w.pth}}, B: {{source: ./w.pth, <licence>: MIT}}, "
    "C: {source: ./w.pth, <licence>: licence}}\n",
    "several lines": f"{HEAD}weights:\n  A:\n    <licence>: MIT\n    source: ./w.pth\n  B:\n    source: ./w.pth\n"
    "    <licence>: MIT\n",
    "weights of the backbone": f"{HEAD}backbone_weights: {{source: ./w.pth, <licence>: MIT}}\n",
    "letters of two bytes before": f"{HEAD}weights: {{Größe: {{source: ./größe.pth, <licence>: MIT}}}}\n",
    "letters of four bytes before": f"{HEAD}weights: {{MINE: {{source: ./\U0001f600\u65e5.pth, <licence>: MIT}}}}\n",
    "letters that combine before": f"{HEAD}weights: {{MINE: {{source: ./e\u0301\u0301.pth, <licence>: MIT}}}}\n",
    "letters from right to left before": f"{HEAD}weights: {{MINE: {{source: ./\u05d0\u05d1.pth, <licence>: MIT}}}}\n",
    "an escape before": f'{HEAD}weights: {{MINE: {{source: "./\\u00e9\\t\\x41.pth", <licence>: MIT}}}}\n'.replace(
        "\\t", ""
    ),
    "a line separator in a comment": f"{HEAD}# a\u2028# b\u2029# c\nweights: {{MINE: {{source: ./w.pth, <licence>: MIT}}}}\n",
    "a next line character in a comment": f"{HEAD}# a\u0085# b\nweights: {{MINE: {{source: ./w.pth, <licence>: MIT}}}}\n",
    "the second document": f"{HEAD}---\nkind: model\nname: other\nextends: mobilenet_v3_small\nweights:\n"
    "  MINE: {source: ./w.pth, <licence>: MIT}\n...\n# end\n",
    "a directive": f"%YAML 1.2\n---\n{HEAD}weights: {{MINE: {{source: ./w.pth, <licence>: MIT}}}}\n...\n",
    "an anchor of the value": f"{HEAD}weights: {{MINE: {{source: ./w.pth, <licence>: &l MIT, recipe: *l}}}}\n",
    "an anchor of the mapping": f"{HEAD}weights:\n  MINE: &w {{source: ./w.pth, <licence>: MIT}}\n  OTHER: *w\n",
    "a merge key": f"{HEAD}weights:\n  MINE: &w {{source: ./w.pth, <licence>: MIT}}\n  OTHER: {{<<: *w, source: ./o.pth}}\n",
    "an explicit key": f"{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    ? <licence>\n    : MIT\n",
    "no value": f"{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    <licence>:\n",
    "a key between single quotes": f"{HEAD}weights: {{MINE: {{source: ./w.pth, '<licence>': MIT}}}}\n",
    "a key between double quotes": f'{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    "<licence>": MIT\n',
    "JSON": '{\n\t"kind": "model", "name": "mine", "extends": "mobilenet_v3_small",\n\t"weights": {\n'
    '\t\t"MINE": {"source": "./w.pth", "<licence>": "MIT"}\n\t}\n}\n',
    "JSON without spaces": '{"kind":"model","name":"mine","extends":"mobilenet_v3_small","weights":{"MINE":{"source":"./w.pth",'
    '"<licence>":"MIT"}}}',
    "a surrogate pair before": '{"kind": "model", "name": "mine", "extends": "mobilenet_v3_small", "weights": {"MINE": '
    '{"source": "./\\ud83d\\ude00.pth", "<licence>": "MIT"}}}\n',
    "a surrogate pair after": '{"kind": "model", "name": "mine", "extends": "mobilenet_v3_small", "weights": {"MINE": '
    '{"<licence>": "MIT", "source": "./\\ud83d\\ude00.pth"}}}\n',
    "an anchor of the key": f"{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    &k <licence>: MIT\n    recipe: *k\n",
    "a tag that means nothing": f'{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    ! "<licence>": MIT\n',
    "a block for a key": f"{HEAD}weights:\n  MINE:\n    source: ./w.pth\n    ? >-\n      <licence>\n    : MIT\n",
}

#: Layouts that a fix does not keep yet.
NOT_YET: dict[str, str] = {
    "an anchor of the key": "a value that is an alias of the key changes with it",
}


def each(names: Iterable[str], not_yet: Mapping[str, str]) -> list[ParameterSet]:
    """The names as parameters, those of a fault that stands expected to fail."""
    return [
        pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=not_yet[name])] if name in not_yet else [])
        for name in names
    ]


def marked(text: str, key: str) -> str:
    return re.sub("<licence>", key, text)


def check_fixed(old: bytes, new: bytes, count: int) -> None:
    """The verb makes one of the other, once, and the document means what it meant."""
    path = write("m.yaml", old)
    told = run("m.yaml")
    assert (told.code, told.out.count("[REG114]")) == (0, count)
    meant = [d.digest() for d in specs(path)]
    done = run("--fix", "m.yaml")
    assert path.read_bytes() == new
    assert done == Done(0, "1 file: no problems\n", f"fixed {count} name{'s' if count > 1 else ''} in m.yaml\n")
    assert [d.digest() for d in specs(path)] == meant
    assert run("--fix", "m.yaml") == Done(0, "1 file: no problems\n", "")
    assert path.read_bytes() == new
    assert os.listdir() == ["m.yaml"]


def specs(path: Path) -> Iterator[registry.ModelSpec]:
    """Each document of a file, as it is understood."""
    texts = re.split(r"(?m)^---$", path.read_text(encoding="utf-8-sig"))
    for text in texts:
        if "kind" in text:
            document = registry.default_registry().library.from_text(text, "part.yaml")
            library = registry.default_registry().library
            spec, _ = library.check(document, library.resolve(document))
            assert isinstance(spec, registry.ModelSpec)
            yield spec


@pytest.mark.parametrize("name", each(LAYOUTS, NOT_YET))
def test_a_fix_changes_the_name_and_nothing_else(name: str) -> None:
    text = LAYOUTS[name]
    count = text.count("<licence>")
    check_fixed(marked(text, "licence").encode(), marked(text, "license").encode(), count)


@pytest.mark.parametrize(
    "name", each(["JSON", "JSON without spaces", "a surrogate pair before", "a surrogate pair after"], NOT_YET)
)
def test_json_stays_json(name: str) -> None:
    path = write("m.json", marked(LAYOUTS[name], "licence"))
    assert run("--fix", "m.json").code == 0
    assert json.loads(path.read_text()) == json.loads(marked(LAYOUTS[name], "license"))


@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["", "a byte order mark"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CR LF", "CR"])
def test_line_ends_and_byte_order_marks_stay(line_end: str, bom: str) -> None:
    text = bom + LAYOUTS["comments"].replace("\n", line_end)
    check_fixed(marked(text, "licence").encode(), marked(text, "license").encode(), 1)


def test_line_ends_that_differ_stay_different() -> None:
    text = "kind: model\r\nname: mine\rextends: mobilenet_v3_small\nweights:\r\n  MINE:\r    licence: MIT\n    source: ./w.pth"
    check_fixed(text.encode(), text.replace("licence", "license").encode(), 1)


def test_a_name_on_the_first_line_after_a_byte_order_mark_is_fixed() -> None:
    text = "\ufeff{kind: model, name: mine, extends: mobilenet_v3_small, weights: {A: {licence: MIT, source: ./w.pth}}}"
    check_fixed(text.encode(), text.replace("licence", "license").encode(), 1)


def test_thousands_of_names_are_fixed_in_one_file() -> None:
    text = HEAD + "weights:\n" + "".join(f"  W{i}: {{source: ./w.pth, licence: MIT}}\n" for i in range(1000))
    path = write("m.yaml", text)
    assert run("--fix", "m.yaml").err == "fixed 1000 names in m.yaml\n"
    assert path.read_text() == text.replace("licence", "license")


def test_the_old_name_beside_the_new_one_is_an_error_and_not_fixed() -> None:
    text = f"{HEAD}weights: {{MINE: {{source: ./w.pth, licence: MIT, license: BSD}}}}\n"
    path = write("m.yaml", text)
    assert rules("--fix", "m.yaml") == ["m.yaml:4:35 REG101"]
    assert path.read_text() == text


@pytest.mark.xfail(strict=True, reason="a key that is an alias is fixed where its anchor is, which changes that value")
def test_a_key_that_is_an_alias_is_not_fixed_where_its_anchor_is_a_value() -> None:
    """The text at the anchor is somebody's summary, and no key."""
    text = f"{HEAD}summary: &k licence\nweights:\n  MINE:\n    source: ./w.pth\n    *k : MIT\n"
    path = write("m.yaml", text)
    run("--fix", "m.yaml")
    (spec,) = specs(path)
    assert spec.summary == "licence"


# ---- which files -----------------------------------------------------------------------------------------------------


def test_only_files_with_a_fix_are_written() -> None:
    paths = {name: write(name, text) for name, text in {"a.yaml": OLD, "b.yaml": NEW.replace("mine", "b")}.items()}
    before = {name: path.stat() for name, path in paths.items()}
    assert run("--fix", ".") == Done(0, "2 files: no problems\n", "fixed 1 name in a.yaml\n")
    assert paths["a.yaml"].read_text() == NEW
    after = paths["b.yaml"].stat()
    assert (after.st_ino, after.st_mtime_ns) == (before["b.yaml"].st_ino, before["b.yaml"].st_mtime_ns)


def test_without_the_option_nothing_is_written() -> None:
    path = write("m.yaml", OLD)
    before = path.stat()
    assert rules("m.yaml") == ["m.yaml:5:27 REG114"]
    after = path.stat()
    assert (path.read_text(), after.st_ino, after.st_mtime_ns) == (OLD, before.st_ino, before.st_mtime_ns)


def test_what_is_left_out_is_not_fixed() -> None:
    path = write("specs/old/m.yaml", OLD)
    write("specs/n.yaml", HEAD)
    assert run("--fix", "specs", "--exclude", "old") == Done(0, "1 file: no problems\n", "")
    assert path.read_text() == OLD


def test_a_name_in_an_inherited_file_is_fixed_only_if_the_file_was_given() -> None:
    parent = write("p.yaml", OLD.replace("mine", "parent"))
    write("m.yaml", "kind: model\nname: mine\nextends: ./p.yaml\n")
    assert rules("--fix", "m.yaml") == ["p.yaml:5:27 REG114"]
    assert parent.read_text() == OLD.replace("mine", "parent")
    assert run("--fix", "m.yaml", "--strict").code == 1
    done = run("--fix", "m.yaml", "p.yaml", "--strict")
    assert done == Done(0, "2 files: no problems\n", "fixed 1 name in p.yaml\n")
    assert parent.read_text() == NEW.replace("mine", "parent")


def test_a_name_that_many_inherit_is_fixed_once() -> None:
    write("p.yaml", OLD.replace("mine", "parent"))
    for name in "abc":
        write(f"{name}.yaml", f"kind: model\nname: {name}\nextends: ./p.yaml\n")
    assert run("--fix", ".") == Done(0, "4 files: no problems\n", "fixed 1 name in p.yaml\n")


def test_standard_input_cannot_be_fixed() -> None:
    assert rules("--fix", "-", stdin=OLD.encode()) == ["<stdin>:5:27 REG114"]
    assert run("--fix", "-", stdin=OLD.encode()).err == ""
    assert os.listdir() == []


def test_a_file_called_as_standard_input_is_called_is_safe() -> None:
    path = write("<stdin>", NEW + "# " + OLD)
    before = path.read_text()
    run("--fix", "-", "<stdin>", stdin=OLD.replace("mine", "other").encode())
    assert path.read_text() == before


def test_permissions_stay() -> None:
    path = write("m.yaml", OLD)
    for mode in (0o640, 0o600, 0o755, 0o666):
        path.write_text(OLD)
        path.chmod(mode)
        assert run("--fix", "m.yaml").code == 0
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, NEW)


def test_a_link_stays_a_link_and_its_target_is_fixed() -> None:
    target = write("specs/real.yaml", OLD)
    link = Path("m.yaml")
    link.symlink_to("specs/real.yaml")
    assert run("--fix", "m.yaml") == Done(0, "1 file: no problems\n", "fixed 1 name in m.yaml\n")
    assert os.readlink(link) == "specs/real.yaml"
    assert target.read_text() == NEW
    assert not target.is_symlink()


def test_a_file_given_as_itself_and_as_a_link_is_fixed_once() -> None:
    write("real.yaml", OLD)
    Path("link.yaml").symlink_to("real.yaml")
    assert run("--fix", "link.yaml", "real.yaml").err == "fixed 1 name in link.yaml\n"
    assert Path("real.yaml").read_text() == NEW


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that belongs to a user whom permissions hold back, who the process is meanwhile."""
    here, user = os.getcwd(), os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        try:
            os.chdir(folder)
            yield Path(folder)
        finally:
            os.chmod(folder, 0o700)
            if user == 0:
                os.seteuid(0)
            os.chdir(here)


def test_a_folder_that_cannot_be_written_is_an_error(unprivileged: Path) -> None:
    path = write("m.yaml", OLD)
    unprivileged.chmod(0o555)
    done = run("--fix", "m.yaml")
    assert (done.code, done.err) == (1, "error: m.yaml cannot be fixed: Permission denied\n")
    assert path.read_text() == OLD
    assert os.listdir() == ["m.yaml"]


@pytest.mark.usefixtures("unprivileged")
def test_a_file_that_must_not_be_written_is_an_error() -> None:
    path = write("m.yaml", OLD)
    path.chmod(0o444)
    done = run("--fix", "m.yaml")
    assert path.read_text() == OLD
    assert (done.code, done.err) == (1, "error: m.yaml cannot be fixed: Permission denied\n")


def test_a_disk_that_is_full_leaves_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = write("m.yaml", OLD)
    done = run("--fix", "m.yaml")
    assert (done.code, done.err) == (1, "error: m.yaml cannot be fixed: No space left on device\n")
    assert path.read_text() == OLD
    assert os.listdir() == ["m.yaml"]


# ---- a file that changed since it was read ---------------------------------------------------------------------------


def found_in(text: str, name: str = "m.yaml") -> tuple[Diagnostic, ...]:
    write(name, text)
    return registry.validate(name)


def test_a_name_that_is_no_longer_there_is_left() -> None:
    found = found_in(OLD)
    for text in (NEW, "# a new line\n" + OLD, OLD.replace("  MINE", "  M"), "", "kind: model\n"):
        path = write("m.yaml", text)
        assert apply_fixes(found, ["m.yaml"]) == ({}, [])
        assert path.read_text() == text


def test_other_changes_of_the_file_are_kept() -> None:
    found = found_in(OLD)
    path = write("m.yaml", OLD + "accepts: [REG201]  # added meanwhile\n")
    assert apply_fixes(found, ["m.yaml"]) == ({"m.yaml": 1}, [])
    assert path.read_text() == NEW + "accepts: [REG201]  # added meanwhile\n"


def test_a_file_that_went_is_an_error() -> None:
    found = found_in(OLD)
    Path("m.yaml").unlink()
    assert apply_fixes(found, ["m.yaml"]) == ({}, ["m.yaml cannot be fixed: No such file or directory"])
    assert os.listdir() == []


def test_a_file_that_is_no_text_any_more_is_an_error() -> None:
    found = found_in(OLD)
    Path("m.yaml").write_bytes(b"\xff" + OLD.encode())
    done, (told,) = apply_fixes(found, ["m.yaml"])
    assert done == {}
    assert told.startswith("m.yaml cannot be fixed: ")
    assert Path("m.yaml").read_bytes() == b"\xff" + OLD.encode()


def test_files_beside_one_that_fails_are_done() -> None:
    found = (*found_in(OLD, "a.yaml"), *found_in(OLD, "b.yaml"))
    Path("b.yaml").unlink()
    Path("a.yaml").rename("c.yaml")  # the last is done too
    found = (*found, *found_in(OLD, "a.yaml"))
    done, failed = apply_fixes(found, ["b.yaml", "a.yaml"])
    assert (done, failed) == ({"a.yaml": 1}, ["b.yaml cannot be fixed: No such file or directory"])
    assert Path("a.yaml").read_text() == NEW


@pytest.mark.usefixtures("unprivileged")
def test_one_file_that_must_not_be_written_keeps_no_other_from_its_fix_and_its_report() -> None:
    write("a.yaml", OLD).chmod(0o444)
    write("b.yaml", OLD.replace("name: mine", "name: other"))
    Path("c.yaml").write_text("kind: model\nname: third\nextends: mobilenet_v3_small\nhed: 1\n")
    done = run("--fix", "a.yaml", "b.yaml", "c.yaml")
    assert done.code == 1
    assert done.err == "fixed 1 name in b.yaml\nerror: a.yaml cannot be fixed: Permission denied\n"
    assert "c.yaml:4:1: error: unknown key `hed`" in done.out
    assert "a.yaml:" in done.out
    assert "b.yaml:" not in done.out


def test_nothing_is_written_outside_the_given_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("licence: MIT\n")
    for name in (str(outside), "../outside.yaml", "link.yaml"):
        if name == "link.yaml":
            Path(name).symlink_to(outside)
        span = Span(Source(name, "licence: MIT\n"), 1, 1, 1, 8)
        mistake = Diagnostic("REG114", "warning", "old", span, fix=Fix(span, "license"))
        assert apply_fixes([mistake], ["m.yaml"]) == ({}, [])
    assert outside.read_text() == "licence: MIT\n"


@pytest.mark.parametrize(
    "position",
    [(9, 1, 9, 8), (1, 90, 1, 97), (1, 1, 9, 9), (2, 1, 2, 8)],
    ids=["a line past the end", "a column past the end", "an end past the end", "the empty last line"],
)
def test_a_place_that_the_text_does_not_have_is_left(position: tuple[int, int, int, int]) -> None:
    write("m.yaml", "licence: MIT\n")
    span = Span(Source("m.yaml", "x: 1\n" * 9 + "licence: MIT"), *position)
    mistake = Diagnostic("REG114", "warning", "old", span, fix=Fix(span, "license"))
    apply_fixes([mistake], ["m.yaml"])
    assert Path("m.yaml").read_text() == "licence: MIT\n"


def test_of_two_fixes_that_overlap_one_is_made() -> None:
    write("m.yaml", "licence: MIT\n")
    source = Source("m.yaml", "licence: MIT\n")
    spans = [Span(source, 1, 1, 1, 8), Span(source, 1, 1, 1, 4), Span(source, 1, 5, 1, 8)]
    mistakes = [Diagnostic("REG114", "warning", "old", span, fix=Fix(span, "x")) for span in spans]
    assert apply_fixes(mistakes[:1] * 3, ["m.yaml"]) == ({"m.yaml": 1}, [])
    assert Path("m.yaml").read_text() == "x: MIT\n"
    write("m.yaml", "licence: MIT\n")
    assert apply_fixes(mistakes, ["m.yaml"])[0]["m.yaml"] < 3
    assert Path("m.yaml").read_text() in ("x: MIT\n", "xex: MIT\n")


# ---- beside other mistakes -------------------------------------------------------------------------------------------


def test_other_mistakes_of_the_document_are_told_after_the_fix() -> None:
    path = write("m.yaml", OLD + "foo: 1\n")
    done = run("--fix", "m.yaml")
    assert path.read_text() == NEW + "foo: 1\n"
    assert (done.code, done.err) == (1, "fixed 1 name in m.yaml\n")
    assert done.out == ("m.yaml:6:1: error: unknown key `foo` [REG101]\n6 | foo: 1\n  | ^^^\n\n1 file: 1 error\n")


def test_a_file_that_is_not_yaml_is_left_and_the_others_are_fixed() -> None:
    broken = write("a.yaml", OLD + "  - [")
    write("b.yaml", OLD)
    done = run("--fix", ".")
    assert broken.read_text() == OLD + "  - ["
    assert Path("b.yaml").read_text() == NEW
    assert (done.code, done.err) == (1, "fixed 1 name in b.yaml\n")


def test_a_path_that_is_not_there_hinders_no_fix() -> None:
    write("m.yaml", OLD)
    assert rules("--fix", "m.yaml", "gone.yaml") == ["gone.yaml:1:1 REG001"]
    assert Path("m.yaml").read_text() == NEW


def test_names_that_are_taken_hinder_no_fix() -> None:
    write("a.yaml", OLD)
    write("b.yaml", OLD)
    done = run("--fix", ".")
    assert (done.code, done.err) == (1, "fixed 1 name in a.yaml\nfixed 1 name in b.yaml\n")
    assert Path("b.yaml").read_text() == NEW


def test_the_exit_code_is_that_of_what_is_left() -> None:
    write("m.yaml", OLD)
    assert [run("m.yaml").code, run("m.yaml", "--strict").code] == [0, 1]
    assert run("m.yaml", "--strict", "--fix") == Done(0, "1 file: no problems\n", "fixed 1 name in m.yaml\n")
    assert run("m.yaml", "--strict").code == 0


def test_a_wrong_use_fixes_nothing() -> None:
    path = write("m.yaml", OLD)
    Path("empty").mkdir()
    assert [run("--fix", "m.yaml", *wrong).code for wrong in (["empty"], ["--format", "xml"])] == [2, 2]
    assert path.read_text() == OLD


def test_reports_offer_the_fix() -> None:
    write("m.yaml", OLD)
    place = {"file": "m.yaml", "line": 5, "column": 27, "end_line": 5, "end_column": 34}
    (told,) = json.loads(run("m.yaml", "--format", "json").out)
    assert told["fix"] == {"text": "license", **place}
    (result,) = json.loads(run("m.yaml", "--format", "sarif").out)["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change == {
        "artifactLocation": {"uri": "m.yaml", "uriBaseId": "%SRCROOT%"},
        "replacements": [
            {
                "deletedRegion": {"startLine": 5, "startColumn": 27, "endLine": 5, "endColumn": 34},
                "insertedContent": {"text": "license"},
            }
        ],
    }


# ---- names that plugins gave up --------------------------------------------------------------------------------------


class Lens(Spec):
    """A part of an eye, one of whose keys has another name now."""

    renamed_keys: ClassVar[dict[str, Rename]] = {"diopters": Rename("power", until="0.4")}
    power: float = 1.0


class Eye(BackboneSpec):
    """One map; a key has another name now, and so has the whole type."""

    renamed_keys: ClassVar[dict[str, Rename]] = {"breadth": Rename("width", until="0.3")}
    type: Literal["eye"] = "eye"
    width: int = 8
    lenses: Listed[Lens] = ()
    by_name: dict[str, Lens] = {}

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="c1", channels=self.width, stride=4, module="a"),)


class Mouth(HeadSpec):
    """Speaks."""

    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"


class Speaking(TaskSpec):
    """The task."""

    type: Literal["speaking"] = "speaking"


class Plugin:
    """The parts above, and the documents of a package."""

    @registry.hookimpl
    def registry_parts(self, register: Any) -> None:
        register.backbone("eye", spec="fixed_parts:Eye", target="fixed_parts:build", renames={"ocular": "0.3"})
        register.head(
            "mouth", spec="fixed_parts:Mouth", target="fixed_parts:build", renames={"lips": "0.3", "jaw": "0.5"}
        )
        register.task("speaking", spec="fixed_parts:Speaking", target="fixed_parts:build")
        register.catalog("fixed_documents", "catalog")


CATALOG = """\
kind: model
name: face
aliases: [head]
renames: {visage: "0.3", countenance: "0.4"}
task: {type: speaking}
backbone: iris
head: {type: mouth, num_classes: 2}
---
kind: backbone
name: iris
renames: {pupil: "0.3"}
type: eye
---
kind: model
name: "7"
renames: {seven: "0.3"}
extends: face
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of one plugin that gave up some names."""
    module = ModuleType("fixed_parts")
    module.__dict__.update(Eye=Eye, Mouth=Mouth, Speaking=Speaking)
    monkeypatch.setitem(sys.modules, "fixed_parts", module)
    catalog = tmp_path / "site" / "fixed_documents" / "catalog"
    catalog.mkdir(parents=True)
    (catalog / "face.yaml").write_text(CATALOG, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    isolated = Registry([Plugin()])
    monkeypatch.setattr(registry, "default_registry", lambda: isolated)
    return isolated


WHOLE = "kind: model\nname: mine\ntask: {type: speaking}\nbackbone: {type: eye}\nhead: {type: mouth, num_classes: 2}\n"


def told_of(made: Registry, text: str) -> list[str]:
    write("m.yaml", text)
    return [str(diagnostic) for diagnostic in made.validate("m.yaml")]


def warned(old: str, new: str, release: str = "0.3") -> str:
    return (
        f"warning: `{old}` is now called `{new}`, and the old name is read until release {release} only; "
        f"write `{new}` [REG114]"
    )


@pytest.mark.parametrize(
    ("text", "place", "old", "new", "release"),
    [
        ("kind: model\nname: mine\nextends: <>\n", "3:10", "visage", "face", "0.3"),
        ("kind: model\nname: mine\nextends: <>\n", "3:10", "countenance", "face", "0.4"),
        ("kind: model\nname: mine\nextends: <>\n", "3:10", "local/visage", "local/face", "0.3"),
        ("kind: model\nname: mine\nextends: [face, <>]\n", "3:17", "visage", "face", "0.3"),
        ("kind: backbone\nname: mine\nextends: <>\n", "3:10", "pupil", "iris", "0.3"),
        ("kind: backbone\nname: mine\ntype: <>\n", "3:7", "ocular", "eye", "0.3"),
        ("kind: backbone\nname: mine\ntype: <>\n", "3:7", "local/ocular", "local/eye", "0.3"),
        ("kind: head\nname: mine\ntype: <>\nnum_classes: 2\n", "3:7", "lips", "mouth", "0.3"),
        ("kind: head\nname: mine\ntype: <>\nnum_classes: 2\n", "3:7", "jaw", "mouth", "0.5"),
        (WHOLE.replace("mouth", "<>"), "5:14", "lips", "mouth", "0.3"),
        (WHOLE.replace("mouth", "<>"), "5:14", "local/lips", "local/mouth", "0.3"),
        (WHOLE.replace("{type: eye}", "{type: <>}"), "4:18", "ocular", "eye", "0.3"),
        (WHOLE.replace("{type: eye}", "<>"), "4:11", "pupil", "iris", "0.3"),
        (WHOLE.replace("{type: eye}", "{extends: <>}"), "4:21", "pupil", "iris", "0.3"),
        (WHOLE.replace("{type: eye}", "{extends: [eye, <>]}"), "4:27", "pupil", "iris", "0.3"),
        ("kind: backbone\nname: mine\ntype: eye\n<>: 16\n", "4:1", "breadth", "width", "0.3"),
        (WHOLE.replace("eye}", "eye, <>: 16}"), "4:23", "breadth", "width", "0.3"),
        (WHOLE.replace("eye}", "eye, lenses: [{power: 1.0}, {<>: 2.0}]}"), "4:47", "diopters", "power", "0.4"),
        (WHOLE.replace("eye}", "eye, by_name: {left: {<>: 2.0}}}"), "4:40", "diopters", "power", "0.4"),
    ],
)
def test_a_name_that_was_given_up_is_read_told_and_fixed(
    made: Registry, text: str, place: str, old: str, new: str, release: str
) -> None:
    before, after = text.replace("<>", old), text.replace("<>", new)
    assert told_of(made, before) == [f"m.yaml:{place}: {warned(old, new, release)}"]
    assert run("--fix", "m.yaml") == Done(0, "1 file: no problems\n", "fixed 1 name in m.yaml\n")
    assert Path("m.yaml").read_text() == after
    assert told_of(made, after) == []


@pytest.mark.usefixtures("made")
def test_names_of_every_kind_are_fixed_at_once() -> None:
    text = (
        "kind: model\nname: mine\nextends: {}\nbackbone: {{extends: {}, {}: 16}}\nhead: {{type: {}, num_classes: 3}}\n"
    )
    write("m.yaml", text.format("visage", "pupil", "breadth", "lips"))
    assert run("--fix", "m.yaml") == Done(0, "1 file: no problems\n", "fixed 4 names in m.yaml\n")
    assert Path("m.yaml").read_text() == text.format("face", "iris", "width", "mouth")


#: References to documents by old names, and what a fix shall make of them.
REFERENCES: dict[str, tuple[str, str]] = {
    "single quotes": ("extends: 'visage'", "extends: 'face'"),
    "double quotes": ('"extends": "visage"', '"extends": "face"'),
    "an escape": ('extends: "vis\\u0061ge"', 'extends: "face"'),
    "an anchor": ("extends: &p visage\nsummary: *p", "extends: &p face\nsummary: *p"),
    "a folded block": ("extends: >-\n  visage\nsummary: x", "extends: >-\n  face\nsummary: x"),
    "a literal block": ("extends: |-\n  visage\n# end", "extends: |-\n  face\n# end"),
    "a name that reads as a number": ("extends: seven", 'extends: "7"'),
    "one in a list": ("extends: [seven]", 'extends: ["7"]'),
}


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("name", REFERENCES)
def test_a_new_name_is_written_so_that_it_is_read_again(name: str) -> None:
    old, new = REFERENCES[name]
    path = write("m.yaml", f"kind: model\nname: mine\n{old}\n")
    run("--fix", "m.yaml")
    assert run("m.yaml") == Done(0, "1 file: no problems\n", "")
    assert path.read_text() == f"kind: model\nname: mine\n{new}\n"


def test_a_name_that_is_another_documents_now_is_that_document(made: Registry, tmp_path: Path) -> None:
    assert "visage" not in made.list_models()
    (tmp_path / "site" / "fixed_documents" / "catalog" / "visage.yaml").write_text(
        "kind: model\nname: visage\nextends: face\nhead: {num_classes: 9}\n"
    )
    fresh = Registry([Plugin()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fresh.load_spec("visage").head.num_classes == 9
    assert told_of(fresh, "kind: model\nname: mine\nextends: visage\n") == []
    assert told_of(made, "kind: model\nname: mine\nextends: visage\n") != []


def test_a_name_of_another_kind_is_not_given_up(made: Registry) -> None:
    write("m.yaml", "kind: model\nname: mine\nextends: pupil\n")
    assert [d.rule for d in made.validate("m.yaml")] == ["REG108"]
    assert [d.fix for d in made.validate("m.yaml")] == [None]


def test_a_document_is_loaded_by_a_name_it_gave_up_with_a_warning(made: Registry) -> None:
    text = "`visage` is now called `face`, and the old name is read until release 0.3 only; write `face`"
    with pytest.warns(RegistryWarning) as caught:
        spec = made.load_spec("visage")
    assert [str(warning.message) for warning in caught] == [text]
    assert spec == made.load_spec("face")
    assert spec.name == "face"
    with pytest.warns(RegistryWarning, match="^`local/visage` is now called `local/face`"):
        assert made.load_spec("local/visage") == spec


@pytest.mark.xfail(strict=True, reason="the warning names a line of the package and not the caller's")
def test_the_warning_names_the_line_that_asked(made: Registry) -> None:
    with pytest.warns(RegistryWarning) as caught:
        made.load_spec("visage")
    assert caught[0].filename == __file__


def test_a_part_is_loaded_by_a_name_it_gave_up_with_a_warning(made: Registry) -> None:
    with pytest.warns(RegistryWarning, match="^`pupil` is now called `iris`"):
        assert made.explain("pupil", kind="backbone") == made.explain("iris", kind="backbone")


def test_an_override_by_a_type_that_was_given_up_means_the_new_one(made: Registry) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RegistryWarning)
        assert made.load_spec("face", overrides=["backbone.type=ocular"]) == made.load_spec("face")


def test_aliases_are_silent(made: Registry) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made.load_spec("head") == made.load_spec("face")
    assert told_of(made, "kind: model\nname: mine\nextends: head\n") == []


def test_names_that_were_given_up_are_not_listed_and_not_suggested(made: Registry) -> None:
    assert made.list_models() == ["7", "face"]
    assert made.list_models("visage") == []
    with pytest.raises(UnknownNameError) as caught:
        made.load_spec("visag")
    assert "visage" not in str(caught.value)


def test_a_name_that_a_document_gave_up_is_free(made: Registry) -> None:
    assert told_of(made, "kind: model\nname: visage\nextends: face\n") == []


@pytest.mark.usefixtures("made")
def test_shipped_documents_are_never_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "site" / "fixed_documents" / "catalog" / "old.yaml"
    text = "kind: model\nname: old\nextends: visage\nbackbone: {breadth: 16}\n"
    shipped.write_text(text)
    fresh = Registry([Plugin()])
    monkeypatch.setattr(registry, "default_registry", lambda: fresh)
    told = [f"{shipped}:3:10 REG114", f"{shipped}:4:12 REG114"]
    assert rules("--fix") == told
    assert run("--fix").err == ""
    write("m.yaml", "kind: model\nname: mine\nextends: old\n")
    assert rules("--fix", "m.yaml") == [told[1]]
    assert shipped.read_text() == text


@pytest.mark.usefixtures("made")
def test_a_shipped_document_that_was_given_as_a_file_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its author works on it."""
    shipped = tmp_path / "site" / "fixed_documents" / "catalog" / "old.yaml"
    shipped.write_text("kind: model\nname: old\nextends: visage\n")
    fresh = Registry([Plugin()])
    monkeypatch.setattr(registry, "default_registry", lambda: fresh)
    assert run("--fix", shipped) == Done(0, "1 file: no problems\n", f"fixed 1 name in {shipped}\n")
    assert shipped.read_text() == "kind: model\nname: old\nextends: face\n"
