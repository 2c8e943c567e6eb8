"""The pre-commit hook: pre-commit itself installs it from a clone of the project and runs it on a sample repository."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

Run = Callable[..., CompletedProcess[str]]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("git") is None, reason="needs git")]

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@pytest.fixture(scope="module")
def hook_repository(source_tree: Path, tmp_path_factory: pytest.TempPathFactory, must_run: Run) -> tuple[Path, str]:
    """A git repository of the project's files, and its one commit."""
    pytest.importorskip("pre_commit", reason="needs pre-commit")
    folder = tmp_path_factory.mktemp("hook") / "vision-registry"
    shutil.copytree(source_tree, folder)
    return folder, _commit(folder, must_run)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps the hook's environments, for all of these tests."""
    return tmp_path_factory.mktemp("pre-commit home")


@pytest.fixture(scope="module")
def environment(home: Path, from_wheelhouse: dict[str, str]) -> dict[str, str]:
    """Variables for git and pre-commit; pip installs from the wheelhouse only."""
    return {"PRE_COMMIT_HOME": str(home), **GIT, **from_wheelhouse}


@pytest.fixture(scope="module")
def pre_commit(environment: dict[str, str], run: Run) -> Run:
    """Runs pre-commit in a folder."""

    def start(cwd: Path, *arguments: str) -> CompletedProcess[str]:
        return run([sys.executable, "-m", "pre_commit", *arguments], cwd, **environment)

    return start


@pytest.fixture
def sample(tmp_path: Path, hook_repository: tuple[Path, str], must_run: Run) -> Callable[..., Path]:
    """Makes a repository with the given files whose configuration names the hook, further keys of it included."""

    def make(files: dict[str, str], /, **hook: Any) -> Path:
        folder = tmp_path / "sample"
        url, commit = hook_repository
        hooks = [{"id": "registry-validate", **hook}]
        config = {"repos": [{"repo": str(url), "rev": commit, "hooks": hooks}]}
        for name, text in {**files, ".pre-commit-config.yaml": yaml.safe_dump(config)}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        _commit(folder, must_run)
        return folder

    return make


def _commit(folder: Path, must_run: Run) -> str:
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        must_run(["git", *arguments], folder, **GIT)
    return must_run(["git", "rev-parse", "HEAD"], folder, **GIT).stdout.strip()


def test_right_documents_pass_and_other_files_are_not_looked_at(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str]
) -> None:
    folder = sample(
        {
            "specs/good.yaml": documents["good"],
            "ml/models/a b.yml": documents["accepted"],
            "compose.yaml": documents["no_document"],
            "specs/README.md": "# Specs\n",
        }
    )
    result = pre_commit(folder, "run", "--all-files")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Passed" in result.stdout


def test_a_mistake_fails_with_its_place(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str]
) -> None:
    folder = sample({"specs/good.yaml": documents["good"], "specs/more/broken.yaml": documents["broken"]})
    result = pre_commit(folder, "run", "--all-files")
    assert result.returncode == 1
    assert "specs/more/broken.yaml:5:3: error: unknown key `num_clases` in `head` [REG101]" in result.stdout
    assert "exit code: 1" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_commit_is_stopped(
    sample: Callable[..., Path], pre_commit: Run, run: Run, documents: dict[str, str], environment: dict[str, str]
) -> None:
    folder = sample({"specs/good.yaml": documents["good"]})
    assert pre_commit(folder, "install").returncode == 0
    (folder / "specs" / "new.yaml").write_text(documents["broken"], encoding="utf-8")
    assert run(["git", "add", "--all"], folder, **environment).returncode == 0
    result = run(["git", "commit", "--message", "new"], folder, **environment)
    assert result.returncode == 1
    assert "specs/new.yaml:5:3: error:" in result.stdout + result.stderr


def test_two_files_with_one_name_are_found(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str]
) -> None:
    folder = sample({f"specs/{letter}.yaml": documents["good"] for letter in "abcdefgh"})
    result = pre_commit(folder, "run", "--all-files")
    assert result.returncode == 1
    assert "specs/h.yaml:2:7: error: the model name `good_model` is taken by specs/a.yaml [REG110]" in result.stdout


def test_files_and_arguments_can_be_replaced(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str]
) -> None:
    folder = sample({"nets/warned.yaml": documents["warned"]}, files="^nets/", args=["--strict"])
    result = pre_commit(folder, "run", "--all-files")
    assert result.returncode == 1
    assert "nets/warned.yaml:6:18: warning:" in result.stdout


def test_a_folder_can_be_checked_as_a_whole(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str]
) -> None:
    files = {"nets/broken.yaml": documents["broken"], "nets/notes.txt": "changed\n"}
    folder = sample(files, files="^nets/", types=["text"], pass_filenames=False, args=["nets/"])
    result = pre_commit(folder, "run", "--files", "nets/notes.txt")
    assert result.returncode == 1
    assert "nets/broken.yaml:5:3: error:" in result.stdout


def test_a_plugin_installed_beside_it_is_known(
    sample: Callable[..., Path], pre_commit: Run, documents: dict[str, str], plugin_source: Path
) -> None:
    files = {"specs/model.yaml": documents["with_plugin"]}
    alone = pre_commit(sample(files), "run", "--all-files")
    assert alone.returncode == 1
    assert "REG107" in alone.stdout
    folder = sample(files, additional_dependencies=[str(plugin_source)])
    beside = pre_commit(folder, "run", "--all-files")
    assert beside.returncode == 0, beside.stdout + beside.stderr


def test_the_hooks_environments_have_no_torch(
    sample: Callable[..., Path], pre_commit: Run, run: Run, documents: dict[str, str], home: Path
) -> None:
    folder = sample({"specs/good.yaml": documents["good"]})
    assert pre_commit(folder, "run", "--all-files").returncode == 0
    interpreters = list(home.glob("repo*/py_env-*/bin/python"))
    assert interpreters
    for python in interpreters:
        assert run([python, "-c", "import registry"], folder).returncode == 0
        assert run([python, "-c", "import torch"], folder).returncode == 1
        assert not list(python.parents[1].glob("lib/python*/site-packages/torch*"))
