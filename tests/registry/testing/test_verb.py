"""`registry plugins check`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

import registry
from registry.cli.group import cli
from registry.errors import UnknownNameError
from registry.registry import Registry

Make = Callable[..., Registry]
HEAD = ("parts.py", "return self.fc(self.dropout(pooled))", "return self.fc(self.dropout(pooled)) / 0")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls `registry` where the given registry is all that is installed."""

    def start(made: Registry, *arguments: str) -> Result:
        monkeypatch.setattr(registry, "default_registry", lambda: made)
        monkeypatch.setenv("COLUMNS", "160")
        return CliRunner().invoke(cli, ["plugins", *arguments])

    return start


def test_a_good_plugin_is_a_table_and_exit_code_0(tiny: Make, call: Callable[..., Result]) -> None:
    result = call(tiny(), "check", "local")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["SUBJECT", "CHECK", "STATE", "TIME", "WHY"]
    assert any(re.match(r"head tiny_head +exports_as_declared +passed +\d", line) for line in lines)
    checks = len(lines) - 3  # the header, an empty line and the sum
    assert lines[-1] == f"{checks} checks: {checks} passed, 0 failed, 0 skipped"


def test_a_broken_plugin_is_told_in_full_with_exit_code_1(tiny: Make, call: Callable[..., Result]) -> None:
    result = call(tiny(HEAD), "check", "local")
    assert result.exit_code == 1
    told = result.stdout.partition("\nhead-tiny_head-forward_gives_what_the_task_reads\n")[2]
    assert told.startswith("  model `tiny_model`: 1 image of 64x64 pixels: `output` holds values that are not finite\n")


@pytest.mark.parametrize("before", [True, False])
def test_json_holds_every_outcome(tiny: Make, call: Callable[..., Result], before: bool) -> None:
    form = ["--format", "json"]
    made = tiny(("catalog/tiny.yaml", "head: {", "default_weights: best\nhead: {"))
    result = call(made, *([*form, "check", "local"] if before else ["check", "local", *form]))
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["plugin"] == "local"
    assert data["passed"] + data["failed"] + data["skipped"] == len(data["outcomes"])
    (found,) = [o for o in data["outcomes"] if (o["subject"], o["check"]) == ("model tiny_model", "document_validates")]
    assert found["state"] == "failed"
    assert "REG206" in found["message"]


def test_without_torch_nothing_fails(tiny: Make, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny()
    for module in ("torch", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    result = call(made, "check", "local")
    assert result.exit_code == 0
    assert "pip install 'vision-registry[torch]'" in result.stdout


def test_an_unknown_plugin_is_told_with_the_nearest(tiny: Make, call: Callable[..., Result]) -> None:
    result = call(tiny(), "check", "locl")
    assert isinstance(result.exception, UnknownNameError)  # which `main` prints and ends with 2
    assert str(result.exception) == "no plugin or distribution is called `locl`; did you mean `local`?"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check"], "Missing argument 'NAME'"),
        (["chek", "local"], "no such action `chek`; did you mean `check`?"),
        (["check", "local", "--format", "xml"], "'xml' is not one of 'text', 'json'"),
    ],
)
def test_misuse_is_exit_code_2(tiny: Make, call: Callable[..., Result], arguments: list[str], told: str) -> None:
    result = call(tiny(), *arguments)
    assert result.exit_code == 2
    assert told in result.output


def test_the_list_counts_documents_and_is_as_before_in_json(tiny: Make, call: Callable[..., Result]) -> None:
    made = tiny()
    header, row = call(made).stdout.splitlines()
    column = header.index("DOCUMENTS")
    assert row[column : column + len("DOCUMENTS")].strip() == "2"  # a model and a data set
    (found,) = json.loads(call(made, "--format", "json").stdout)
    assert found["documents"] == ["model tiny_model", "dataset tiny_colours"]
