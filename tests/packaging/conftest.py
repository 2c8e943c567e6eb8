"""The distribution as others install it: its wheel, a folder of wheels to install from, a copy of its sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Variables of this process that would reach into an environment made for a test, of a hook of git or a job these tests run in.
_LEFT_OUT = (
    "PYTHON",
    "VIRTUAL_ENV",
    "PIP_CONSTRAINT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "GIT_",
    "GITHUB_",
    "REGISTRY_",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(_LEFT_OUT)}


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the project's sources."""
    return ROOT


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command as a user would who has nothing of this process's environment but PATH and the like."""

    def start(command: list[object], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**_clean_environment(), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    return start


@pytest.fixture(scope="session")
def must_run(run: Run) -> Run:
    """As `run`, and the test fails with the command's output where it fails."""

    def start(command: list[object], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        result = run(command, cwd, **env)
        if result.returncode:
            pytest.fail(f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}", pytrace=False)
        return result

    return start


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """A copy of the project as it would be committed now: what git tracks and what it does not ignore."""
    copy = tmp_path_factory.mktemp("a checkout") / "vision registry"
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], ROOT)
    if listed.returncode:
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*cache", "__pycache__", ".venv", ".git", "dist"))
        return copy
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def wheel(source_tree: Path, tmp_path_factory: pytest.TempPathFactory, must_run: Run) -> Path:
    """The distribution's wheel, built by its own build backend."""
    out = tmp_path_factory.mktemp("dist")
    must_run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source_tree], out)
    return next(out.glob("vision_registry-*.whl"))


@pytest.fixture(scope="session")
def wheelhouse(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, all that it depends on without extras, and its build backend."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), str(wheel), "hatchling"]
    # the one step that asks an index, so it sees how this machine reaches one
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"the wheelhouse could not be filled:\n{result.stderr}", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def from_wheelhouse(wheelhouse: Path) -> dict[str, str]:
    """Variables that make every pip install from the wheelhouse and from nowhere else."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheelhouse.as_uri(),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="session")
def without_torch(
    wheel: Path, from_wheelhouse: dict[str, str], tmp_path_factory: pytest.TempPathFactory, must_run: Run
) -> Path:
    """`bin` of an environment that has the wheel and what it depends on, and nothing more."""
    folder = tmp_path_factory.mktemp("lean") / "venv"
    venv.create(folder, with_pip=True)
    must_run([folder / "bin/python", "-m", "pip", "install", "--quiet", wheel], folder, **from_wheelhouse)
    return folder / "bin"


@pytest.fixture(scope="session")
def plugin_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of somebody's plugin with one head, `tiny_head`."""
    folder = tmp_path_factory.mktemp("plugin") / "tiny_head"
    files = {
        "pyproject.toml": (
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
            '[project]\nname = "tiny-head"\nversion = "1.0"\ndependencies = ["vision-registry"]\n\n'
            '[project.entry-points.registry]\ntiny_head = "tiny_head.plugin"\n'
        ),
        "tiny_head/__init__.py": "",
        "tiny_head/specs.py": (
            "from typing import ClassVar, Literal\n\nfrom registry.specs import HeadSpec\n\n\n"
            "class TinyHeadSpec(HeadSpec):\n"
            '    """Nothing but a number of classes."""\n\n'
            '    type: Literal["tiny_head"] = "tiny_head"\n    task: ClassVar[str] = "classification"\n'
        ),
        "tiny_head/plugin.py": (
            "import registry\n\n\n@registry.hookimpl\ndef registry_parts(register):\n"
            '    register.head("tiny_head", spec="tiny_head.specs:TinyHeadSpec", target="tiny_head.head:build")\n'
        ),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def documents() -> dict[str, str]:
    """Documents by what they are good for."""
    start = "kind: model\nname: {}\nextends: mobilenet_v3_small\n"
    none = "task: {categories: null}\nweights: null\ndefault_weights: null\n"
    levels = "extends: fasterrcnn_mnv3_large_320_fpn\nhead:\n  pyramid:\n    levels: [c4, c5]\n"
    return {
        "good": start.format("good_model") + "head:\n  num_classes: 5\n" + none,
        "broken": start.format("broken_model") + "head:\n  num_clases: 5\n" + none,  # at 5:3
        "warned": "kind: model\nname: warned_model\n" + levels + "accepts: []\n",  # REG207 at 6:18
        "accepted": "kind: model\nname: accepted_model\n" + levels + "accepts: [REG207]\n",
        "with_plugin": start.format("model_of_a_plugin") + "head: {type: tiny_head, num_classes: 5}\n" + none,
        "no_document": "services:\n  web: {image: nginx}\n",
    }
