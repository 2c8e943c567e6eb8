"""The example distributions, installed as their users install them: found, valid, built, and their own tests pass."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
#: What an example needs beside this distribution.
NEEDS = {"registry-timm": "timm"}
#: A model of each that is small.
SMALL = {
    "registry-centernet": "centernet_mnv3_small",
    "registry-depth": "depth_mnv3_small",
    "registry-timm": "lraspp_mobilenetv4_conv_small",
}
RunAlone = Callable[..., str]


def missing(example: Path) -> str | None:
    """Why an example cannot be tried here, or None."""
    package = NEEDS.get(example.name)
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"needs the package `{package}`: pip install {package}"


@pytest.fixture(scope="module")
def python(environment_with: Callable[..., Path]) -> Path:
    """Python of an environment in which every example is installed."""
    return environment_with(*EXAMPLES, editable=True)


@pytest.fixture(scope="module")
def plugins(python: Path, run_alone: RunAlone) -> dict[str, dict[str, object]]:
    """What `registry plugins` tells of each distribution."""
    found = json.loads(run_alone(python, "-m", "registry.cli", "plugins", "--format", "json", cwd=ROOT))
    return {plugin["distribution"]: plugin for plugin in found}


def test_every_example_has_a_small_model_to_try() -> None:
    assert {example.name for example in EXAMPLES} == set(SMALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_is_found_and_nothing_is_wrong_with_it(example: Path, plugins: dict[str, dict[str, object]]) -> None:
    plugin = plugins[example.name]
    assert (plugin["state"], plugin["problems"]) == ("loaded", [])
    assert f"model {SMALL[example.name]}" in plugin["documents"]  # type: ignore[operator]


def test_every_document_is_valid_to_the_letter(python: Path, run_alone: RunAlone) -> None:
    folders = [catalog for example in EXAMPLES for catalog in example.glob("*/catalog")]
    assert len(folders) == len(EXAMPLES)
    shown = run_alone(python, "-m", "registry.cli", "validate", "--strict", *folders, cwd=ROOT)
    assert shown.endswith("files: no problems\n")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_model_is_built_and_run(example: Path, python: Path, run_alone: RunAlone) -> None:
    why = missing(example)
    if why is not None:
        pytest.skip(why)
    run_alone(python, "-m", "registry.cli", "build", SMALL[example.name], "--check", cwd=ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_own_tests_pass(
    example: Path, python: Path, run_alone: RunAlone, capsys: pytest.CaptureFixture[str]
) -> None:
    why = missing(example)
    if why is not None:
        pytest.skip(why)
    data = os.environ.get("REGISTRY_TEST_DATA")
    variables = {} if data is None else {"REGISTRY_TEST_DATA": data}
    command = [python, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-m", ""]
    shown = run_alone(*command, cwd=example, OMP_NUM_THREADS="1", **variables)
    with capsys.disabled():
        told = [line for line in shown.splitlines() if line.startswith("SKIPPED") or " passed" in line]
        print(f"\n{example.name}:", *told, sep="\n  ")
    assert " passed" in shown
