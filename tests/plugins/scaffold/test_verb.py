"""`registry new-plugin`: what it prints, what it writes, and that it writes nothing where it cannot write all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from registry_scaffold import writing
from registry_scaffold.command import new_plugin
from registry_scaffold.filling import tree

from registry import RegistryError
from registry.specs import PART_KINDS

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "scaffold.md"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to start the verb in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(new_plugin, arguments, catch_exceptions=True)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_text_lists_what_lies_there_and_the_next_commands(start: Path) -> None:
    result = call("my-head")
    assert result.exit_code == 0
    listing, _, after = result.stdout.partition("\n\nNext:\n")
    assert listing == tree("my-head", files(start / "my-head"))
    assert after.splitlines() == [
        "  pip install -e './my-head[test]'",
        "  pytest ./my-head",
        "  registry build my_head_small --check",
    ]
    assert os.listdir(start) == ["my-head"]


def test_the_listing_opens_each_folder_once() -> None:
    assert tree("x", ["a/b/one", "a/b/two", "a/c/three", "d", "e/b/four"]).splitlines() == [
        "x/",
        "  a/",
        "    b/",
        "      one",
        "      two",
        "    c/",
        "      three",
        "  d",
        "  e/",
        "    b/",
        "      four",
    ]


def test_json_says_the_same(start: Path) -> None:
    (start / "a place").mkdir()
    result = call("Shapes_data", "--part", "dataset", "--into", "a place", "--format", "json")
    assert json.loads(result.stdout) == {
        "name": "shapes-data",
        "package": "shapes_data",
        "part": "dataset",
        "folder": os.path.join("a place", "Shapes_data"),
        "files": files(start / "a place" / "Shapes_data"),
        "next": [
            "pip install -e './a place/Shapes_data[test]'",
            "pytest './a place/Shapes_data'",
            "registry explain shapes_data_small --kind dataset",
        ],
    }


@pytest.mark.parametrize("kind", PART_KINDS)
def test_nothing_is_left_to_fill_in_and_every_yaml_file_is_one(start: Path, kind: str) -> None:
    result = call("other-name", "--part", kind, "--format", "json")
    assert result.exit_code == 0
    for name in files(start / "other-name"):
        text = (start / "other-name" / name).read_text(encoding="utf-8")
        assert not re.search(r"my.?part|PART_KIND|THIS_VERSION|FIRST_LOOK|tmpl", f"{name}\n{text}", re.I), name
        if name.endswith((".yaml", ".yml")):
            assert isinstance(yaml.safe_load(text), dict)
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n"))
    (document,) = [yaml.safe_load(path.read_text()) for path in (start / "other-name/src").rglob("*.yaml")]
    is_model = kind in ("head", "backbone", "task")
    assert document["kind"] == ("model" if is_model else kind)
    name = document["name"]
    look = f"registry build {name} --check" if is_model else f"registry explain {name} --kind {kind}"
    assert json.loads(result.stdout)["next"][-1] == look


def test_the_help_describes_every_kind_of_part() -> None:
    text = call("--help").stdout
    described = re.findall(r"^    (\w+) {2,}\S", text, flags=re.MULTILINE)
    assert sorted(described) == sorted(PART_KINDS)


@pytest.mark.parametrize("arguments", [["2x"], ["json"], ["class"], ["head"], ["a/b"], ["x", "--part", "haed"], []])
def test_wrong_use_is_told_and_writes_nothing(start: Path, arguments: Sequence[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert os.listdir(start) == []


def test_an_empty_folder_is_filled(start: Path) -> None:
    (start / "my-head").mkdir()
    assert call("my-head").exit_code == 0
    assert "pyproject.toml" in files(start / "my-head")


def refused(*arguments: str) -> str:
    error = call(*arguments).exception
    assert isinstance(error, RegistryError)
    return str(error)


def test_a_folder_with_anything_in_it_is_left_alone(start: Path) -> None:
    (start / "my-head").mkdir()
    (start / "my-head" / ".hidden").write_text("mine", encoding="utf-8")
    assert "exists and is not empty; choose another name" in refused("my-head")
    assert files(start) == ["my-head/.hidden"]


def test_a_file_or_a_link_in_its_place_is_left_alone(start: Path) -> None:
    (start / "my-head").write_text("mine", encoding="utf-8")
    (start / "elsewhere").mkdir()
    (start / "my-link").symlink_to("elsewhere")
    assert "exists and is no folder" in refused("my-head")
    assert "exists and is no folder" in refused("my-link")
    assert files(start) == ["my-head"]


def test_a_place_that_is_not_there_is_made(start: Path) -> None:
    assert call("my-head", "--into", "some/where").exit_code == 0
    assert "pyproject.toml" in files(start / "some" / "where" / "my-head")


def test_a_place_that_is_a_file(start: Path) -> None:
    (start / "file").touch()
    assert "'file' is no folder to write into" in refused("my-head", "--into", "file")


@pytest.mark.parametrize("moment", ["mkdir", "write_bytes", "rename"])
def test_what_fails_on_the_way_leaves_nothing(start: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    real, calls = getattr(Path, moment), []

    def failing(path: Path, *arguments: object, **options: object) -> object:
        calls.append(path)
        if moment == "rename" or len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, moment, failing)
    with pytest.raises(RegistryError, match="'x' cannot be written: No space left on device"):
        writing.write_folder(Path("x"), {f"{letter}/{letter}.txt": letter for letter in "abcdef"})
    assert os.listdir(start) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_place_that_may_not_be_written_to(start: Path) -> None:
    (start / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused("my-head", "--into", "closed")


# ---- the guide -------------------------------------------------------------------------------------------------------


def test_the_guide_shows_the_tree_that_is_written(start: Path) -> None:
    call("my-head")
    block = re.search(r"^```\n(my-head/\n.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    shown = [line.partition("#")[0].rstrip() for line in block[1].splitlines()]
    assert shown == tree("my-head", files(start / "my-head")).splitlines()


def test_the_guide_says_how_other_kinds_differ(start: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?)\| `(.+?)` \|", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(PART_KINDS)
    common = {"__init__.py", "plugin.py", "specs.py"}
    for kind, modules, document in rows:
        (start / kind).mkdir()
        call("my-head", "--part", kind, "--into", kind)
        package = start / kind / "my-head" / "src" / "my_head"
        assert {path.name for path in package.glob("*.py")} - common == set(re.findall(r"`(.+?)`", modules))
        assert [path.name for path in package.glob("catalog/*")] == [document]
