"""What docs/data.md says is so: its commands print what it shows, its code runs, its settings are those of the parts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_data.open import dataset_spec

from registry.registry import Registry

pytest.importorskip("sklearn", reason="needs the extra `demo`")
pytest.importorskip("skimage", reason="needs the extra `demo`")

GUIDE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n\$ ([^\n]*)\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, picture: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds what the guide speaks of."""
    for name in ("train/rose/1.png", "train/rose/2.png", "train/daisy/1.png", "val/rose/3.png", "val/daisy/3.png"):
        picture(tmp_path / "flowers" / name)
    spoiled = tmp_path / "spoiled"
    shutil.copytree(tmp_path / "flowers", spoiled)
    (spoiled / "train" / "rose" / "2.png").write_bytes(b"")
    shutil.copy(spoiled / "train" / "rose" / "1.png", spoiled / "val" / "rose" / "3.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
@pytest.mark.usefixtures("folder")
def test_a_command_prints_what_is_shown(command: str, shown: str) -> None:
    from click.testing import CliRunner

    from registry.cli.group import cli

    result = CliRunner().invoke(cli, command.split()[1:], catch_exceptions=False)
    assert result.output == shown
    assert result.exit_code == ("error" in shown)


def test_there_are_commands_to_run() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.usefixtures("folder")
def test_its_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)
    exec(compile(code, "guide", "exec", dont_inherit=True), {})
    keys = ["area", "boxes", "image_id", "iscrowd", "labels"]
    assert capsys.readouterr().out == f"16 (128, 128) {keys} 0 000001.jpg (128, 128)\n"


def test_its_document_opens_beside_its_folder(installed: Registry, folder: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)
    (folder / "flowers.yaml").write_text(text)
    spec = dataset_spec(installed, "./flowers.yaml")
    data = installed.host.target(spec)(spec, "train")
    assert (len(data), data.categories) == (3, ("daisy", "rose"))


def test_every_type_and_document_is_named(installed: Registry) -> None:
    tables = GUIDE.partition("## Check")[0]
    named = set(re.findall(r"`(\w+)`", tables))
    types = {part.type for part in installed.host.parts if part.origin.plugin == "data" and part.kind == "dataset"}
    listed = installed.library.catalog.listed
    documents = {one.name for one in listed if one.origin is not None and one.origin.plugin == "data"}
    assert types | documents <= named


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_the_settings_of_the_digits_are_the_documents(installed: Registry, task: str) -> None:
    rows = re.findall(r"^\| (`training_images`.*|`side`.*|`most_digits`.*|`smallest`.*) \|$", GUIDE, flags=re.MULTILINE)
    column = ["classification", "detection", "segmentation"].index(task) + 1
    told = {}
    for row in rows:
        cells = row.split(" | ")
        values = re.findall(r"[\d.]+", cells[column])
        told |= dict(zip(re.findall(r"`(\w+)`", cells[0]), map(float, values), strict=True))
    assert len(told) == 6
    spec = dataset_spec(installed, f"digits_{task}").model_dump()
    assert told == {key: spec[key] for key in told}
    defaults: Callable[..., Any] = type(dataset_spec(installed, f"digits_{task}"))
    assert defaults() == dataset_spec(installed, f"digits_{task}")  # the type alone means the document
