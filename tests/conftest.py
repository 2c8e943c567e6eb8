"""Fixtures that all tests share."""

from __future__ import annotations

import os
import site
import subprocess
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent
#: Variables of this process that would reach into one that a test starts.
_LEFT_OUT = ("PYTHON", "VIRTUAL_ENV", "PIP_REQUIRE", "REGISTRY_", "GITHUB_", "PYTEST_")

RunAlone = Callable[..., str]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and weights that lies beside a development checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("REGISTRY_TEST_DATA", _HERE.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real images and weights of a development checkout, which are not at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests keep in the user's cache folder goes to a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("COLUMNS", raising=False)  # which runs on several cores set
        yield


@pytest.fixture(scope="session")
def run_alone() -> RunAlone:
    """What a command prints, started without this process's settings; the test fails where it fails."""

    def run(*command: object, cwd: Path, **variables: str) -> str:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(_LEFT_OUT)}
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=cwd, env={**clean, **variables}, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def environment_with(tmp_path_factory: pytest.TempPathFactory, run_alone: RunAlone) -> Callable[..., Path]:
    """Makes a virtual environment that sees this one's packages and has some distributions installed; returns its Python."""

    def make(*sources: Path, editable: bool) -> Path:
        pytest.importorskip("hatchling", reason="needs the build backend of the extra `dev`")
        folder = tmp_path_factory.mktemp("environment") / "venv"
        venv.create(folder, with_pip=False)
        own = next(folder.glob("lib*/**/site-packages"))
        places = [place for place in [*site.getsitepackages(), site.getusersitepackages()] if Path(place).is_dir()]
        lines = [f"import site; site.addsitedir({place!r})\n" for place in places]
        (own / "parent.pth").write_text("".join(lines), encoding="utf-8")
        python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        words = [word for source in sources for word in (("-e", source) if editable else (source,))]
        run_alone(*install, "--no-build-isolation", *words, cwd=folder)
        return python

    return make
