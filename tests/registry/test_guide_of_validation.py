"""The guide of validation shows what the verb prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "validation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)```$", GUIDE, flags=re.MULTILINE)
DOCUMENTS = re.findall(r"`(\w+\.yaml)`:\n\n```yaml\n((?:.*\n)*?)```$", GUIDE, flags=re.MULTILINE)


def test_the_guide_shows_every_format_and_a_fix() -> None:
    assert [name for name, _ in DOCUMENTS] == ["broken.yaml", "old.yaml"]
    shown = " ".join(command for command, _ in BLOCKS)
    assert re.findall(r"--(?:format \w+|fix)", shown) == [
        "--format json",
        "--format github",
        "--format sarif",
        "--format junit",
        "--fix",
    ]


@pytest.mark.parametrize(("command", "expected"), BLOCKS, ids=[command.partition("|")[0] for command, _ in BLOCKS])
def test_the_verb_prints_what_the_guide_shows(command: str, expected: str, tmp_path: Path) -> None:
    for name, text in DOCUMENTS:
        (tmp_path / name).write_text(text, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB", "REGISTRY"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**kept, "PATH": path, "REGISTRY_PLUGINS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    told = (done.stdout + done.stderr).replace(os.path.realpath(tmp_path), "/repo")
    assert told.rstrip() == expected.rstrip()
