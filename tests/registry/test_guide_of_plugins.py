"""The guide of plugins: its head is installed and used as written, in less than 80 lines, and its notebook runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import registry

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
#: Every block of code whose first line names its file, by that name.
FILES = dict(re.findall(r"^```(?:python|yaml|toml)\n# (\S+\.\w+)\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^\$ (.*?)(?: +#.*)?$", GUIDE, flags=re.MULTILINE)
RunAlone = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution of the guide."""
    folder = tmp_path_factory.mktemp("guide")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "linear_head" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def python(folder: Path, environment_with: Callable[..., Path]) -> Path:
    """Python of an environment in which it is installed."""
    return environment_with(folder, editable=True)


def test_a_head_takes_less_than_80_lines() -> None:
    assert set(FILES) == {
        "linear_head/specs.py",
        "linear_head/head.py",
        "linear_head/plugin.py",
        "linear_head/catalog/mobilenet_v3_small_linear.yaml",
        "pyproject.toml",
        "tests/test_conformance.py",
    }
    assert sum(len(text.splitlines()) + 1 for text in FILES.values()) < 80


def test_its_commands_do_what_they_say(folder: Path, python: Path, run_alone: RunAlone) -> None:
    create, install, *verbs, tests = COMMANDS
    assert create.startswith("registry new-plugin")
    assert (install, tests) == ("pip install -e .", "pytest")
    shown = {}
    for verb in verbs:
        program, *arguments = verb.replace("'", "").split()
        assert program == "registry"
        shown[arguments[0]] = run_alone(python, "-m", "registry.cli", *arguments, cwd=folder)
    assert list(shown) == ["plugins", "list", "validate", "build"]
    assert re.search(r"^linear_head +linear-head +0\.1\.0 +loaded ", shown["plugins"], flags=re.MULTILINE)
    assert "MobileNetV3-Small with one linear layer" in shown["list"]
    assert shown["validate"] == "1 file: no problems\n"
    passed = run_alone(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, OMP_NUM_THREADS="1")
    assert re.search(r"^\d+ passed", passed, flags=re.MULTILINE)


def test_its_keys_are_those_of_the_verb(folder: Path, python: Path, run_alone: RunAlone) -> None:
    (told,) = re.findall(r"With `--format json` it holds (.*?)\.\n", GUIDE, flags=re.DOTALL)
    data = json.loads(run_alone(python, "-m", "registry.cli", "plugins", "--format", "json", cwd=folder))
    assert list(data[0]) == re.findall(r"`(\w+)`", told)


def test_the_notebook_runs_as_written_and_leaves_nothing() -> None:
    (code,) = re.findall(r"^```python\n# notebook\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)
    scope: dict[str, object] = {"__name__": "notebook"}
    exec(compile(code, "notebook", "exec", dont_inherit=True), scope)
    model = scope["model"]
    assert model.spec.head.type == "plain_head"  # type: ignore[attr-defined]
    assert model[-1].out_features == 10  # type: ignore[index]
    assert "plain_head" not in [part.type for part in registry.default_registry().host.parts]


def test_the_loop_runs_as_written() -> None:
    (code,) = re.findall(r"^Training by hand.*?```python\n(.*?)^```$", GUIDE, flags=re.DOTALL | re.MULTILINE)
    scope: dict[str, object] = {"__name__": "loop"}
    exec(compile(code, "loop", "exec", dont_inherit=True), scope)
    assert all(value.isfinite() for value in scope["losses"].values())  # type: ignore[attr-defined]


def test_every_example_is_named_and_there() -> None:
    named = re.findall(r"\]\(\.\./examples/([\w-]+)\)", GUIDE)
    assert sorted(named) == sorted(path.parent.name for path in (ROOT / "examples").glob("*/pyproject.toml"))


def test_the_contract_of_a_task_is_told_whole() -> None:
    from registry.tasks import Task

    (told,) = re.findall(r"^A task feeds a model .*?(?=\n\n)", GUIDE, flags=re.DOTALL | re.MULTILINE)
    methods = {name for name, value in vars(Task).items() if callable(value) and not name.startswith("_")} - {"label"}
    assert set(re.findall(r"`(\w+)`", told)) == methods
