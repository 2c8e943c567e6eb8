"""Each kind of plugin as it is written: installed at once, its own tests pass, and its files please the linters."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from registry_scaffold.command import new_plugin

from registry.specs import PART_KINDS

RunAlone = Callable[..., str]


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs the package `{module}` of the extra `dev`")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin of each kind, `trial-KIND`."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind in PART_KINDS:
        result = CliRunner().invoke(new_plugin, [f"trial-{kind}", "--part", kind, "--into", str(folder)])
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def python(written: Path, environment_with: Callable[..., Path]) -> Path:
    """Python of a fresh environment that has every plugin of `written` installed."""
    return environment_with(*(written / f"trial-{kind}" for kind in PART_KINDS), editable=True)


def test_the_default_kind_passes_its_own_tests(written: Path, python: Path, run_alone: RunAlone) -> None:
    shown = run_alone(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written / "trial-head")
    assert " passed" in shown
    assert " skipped" not in shown


@pytest.mark.slow
def test_every_other_kind_passes_its_own_tests(written: Path, python: Path, run_alone: RunAlone) -> None:
    """In one process, since most of the time goes into importing torch."""
    folders = [f"trial-{kind}" for kind in PART_KINDS if kind != "head"]
    options = ["-v", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=."]
    shown = run_alone(python, "-m", "pytest", *options, *folders, cwd=written)
    assert " SKIPPED" not in shown
    for folder in folders:
        package = folder.replace("-", "_")
        assert re.search(rf"^{folder}/tests/test_conformance\.py::.* PASSED", shown, flags=re.MULTILINE)
        assert re.search(rf"^{folder}/tests/test_{package}\.py::.* PASSED", shown, flags=re.MULTILINE)


def test_the_registry_knows_the_parts(written: Path, python: Path, run_alone: RunAlone) -> None:
    plugins = {
        p["name"]: p
        for p in json.loads(run_alone(python, "-m", "registry.cli", "plugins", "--format=json", cwd=written))
    }
    for kind in PART_KINDS:
        plugin = plugins[f"trial_{kind}"]
        assert (plugin["state"], plugin["distribution"]) == ("loaded", f"trial-{kind}")
        assert f"{kind} trial_{kind}" in plugin["parts"]
        assert len(plugin["documents"]) == 1
    listed = json.loads(run_alone(python, "-m", "registry.cli", "list", "trial_*", "--format=json", cwd=written))
    assert [model["name"] for model in listed] == ["trial_backbone_small", "trial_head_small", "trial_task_small"]
    assert [model["problem"] for model in listed] == [None] * 3


@pytest.mark.parametrize("deep", [[], pytest.param(["--deep"], marks=pytest.mark.slow)], ids=["plain", "deep"])
def test_its_documents_are_valid_to_the_letter(
    deep: list[str], written: Path, python: Path, run_alone: RunAlone
) -> None:
    shown = run_alone(python, "-m", "registry.cli", "validate", "--strict", *deep, ".", cwd=written)
    assert shown == f"{len(PART_KINDS)} files: no problems\n"


@pytest.mark.parametrize("kind", [pytest.param("head", marks=pytest.mark.slow), "dataset"])
def test_the_last_of_the_next_commands_works(
    kind: str, written: Path, python: Path, tmp_path: Path, run_alone: RunAlone
) -> None:
    result = CliRunner().invoke(new_plugin, [f"trial-{kind}", "--part", kind, "--into", str(tmp_path), "--format=json"])
    program, *arguments = json.loads(result.stdout)["next"][-1].split()
    assert program == "registry"
    assert f"trial_{kind}" in run_alone(python, "-m", "registry.cli", *arguments, cwd=written)


@pytest.mark.parametrize("name", ["{}-x", "{}-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"])
def test_ruff_finds_nothing_whatever_the_length_of_the_name(name: str, tmp_path: Path, run_alone: RunAlone) -> None:
    needs("ruff")
    for kind in PART_KINDS:
        result = CliRunner().invoke(new_plugin, [name.format(kind)[:30], "--part", kind, "--into", str(tmp_path)])
        assert result.exit_code == 0, result.output
    for folder in sorted(tmp_path.iterdir()):
        run_alone(
            sys.executable, "-m", "ruff", "check", "--no-cache", "--extend-select", "E,F,W,I,B,UP", ".", cwd=folder
        )
        run_alone(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", cwd=folder)


@pytest.mark.slow
def test_mypy_finds_nothing(written: Path, tmp_path: Path, run_alone: RunAlone) -> None:
    needs("mypy")
    for kind in PART_KINDS:
        run_alone(sys.executable, "-m", "mypy", "--cache-dir", tmp_path, cwd=written / f"trial-{kind}")


def test_the_wheel_holds_the_catalog_and_the_entry_point(written: Path, tmp_path: Path, run_alone: RunAlone) -> None:
    needs("hatchling", "pip")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run_alone(*wheel, "--wheel-dir", tmp_path, written / "trial-head", cwd=tmp_path)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        points = archive.read("trial_head-0.1.0.dist-info/entry_points.txt").decode()
    package = ["__init__.py", "catalog/trial_head_small.yaml", "head.py", "plugin.py", "py.typed", "specs.py"]
    assert sorted(name for name in names if ".dist-info/" not in name) == [f"trial_head/{name}" for name in package]
    assert points == "[registry]\ntrial_head = trial_head.plugin\n"
