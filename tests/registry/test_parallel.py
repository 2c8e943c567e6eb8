"""Validating by several processes: the same answers in the same order, and no hang where one of them ends early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry import default_registry
from registry.catalog import Validation, spec_files, validate_each
from registry.catalog.parallel import Start
from registry.errors import RegistryError

COUNT = 130
MODEL = "kind: model\nname: {name}\nextends: mobilenet_v3_small\n"

STARTS: list[Start] = ["fork", "spawn"] if hasattr(os, "fork") else ["spawn"]


def anew() -> Validation:
    return default_registry().validation()


class Killed(Validation):
    """A run that ends its process at one file, as lack of memory does."""

    def file_alone(self, path: str | os.PathLike[str]) -> object:  # type: ignore[override]
        if "m100" in os.fspath(path):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().file_alone(path)


class Failing(Validation):
    """A run with a fault of its own."""

    def file_alone(self, path: str | os.PathLike[str]) -> object:  # type: ignore[override]
        raise ZeroDivisionError("a fault")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of which some are wrong in themselves, some have another's name, and one is no YAML."""
    monkeypatch.chdir(tmp_path)
    specs = tmp_path / "specs"
    specs.mkdir()
    for number in range(COUNT):
        text = MODEL.format(name=f"m{number}")
        text += "bogus: 1\n" if number % 40 == 7 else ""
        text += f"---\n{MODEL.format(name='m3')}" if number % 50 == 21 else ""
        (specs / f"m{number:03}.yaml").write_text("a: [" if number == 99 else text, encoding="utf-8")
    return specs


def told(folder: Path, jobs: int, start: Start | None = None) -> list[list[str]]:
    files = list(spec_files([folder.name]))
    return [sorted(map(str, found)) for found in validate_each(anew(), files, jobs, anew, start)]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "registry.cli", "validate", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("start", STARTS)
def test_each_file_gets_the_same_answer_from_any_number_of_processes(folder: Path, start: Start) -> None:
    alone = told(folder, 1)
    wrong = [number for number, found in enumerate(alone) if found]
    # the name m3 is the third file's; the two documents of a file with that name come after it
    assert wrong == sorted({7, 47, 87, 127, 21, 71, 121, 99})
    assert told(folder, 2, start) == alone
    assert told(folder, 3, start) == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fault is not there in a process that starts anew")
def test_a_process_that_is_killed_is_an_error_and_no_hang(folder: Path) -> None:
    made = default_registry().validation()
    made.__class__ = Killed
    with pytest.raises(RegistryError, match=r"was ended by signal 9; try again, or with --jobs 1"):
        list(validate_each(made, list(spec_files([folder.name])), 2, anew, "fork"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fault is not there in a process that starts anew")
def test_a_fault_in_a_process_is_told(folder: Path) -> None:
    made = default_registry().validation()
    made.__class__ = Failing
    with pytest.raises(RegistryError, match="ZeroDivisionError: a fault; --jobs 1 shows where"):
        list(validate_each(made, list(spec_files([folder.name])), 2, anew, "fork"))


@pytest.mark.parametrize("output_format", ["text", "json", "github", "sarif", "junit"])
def test_a_report_is_the_same_for_any_number_of_processes(folder: Path, output_format: str) -> None:
    one, two = (run("specs", "--jobs", jobs, "--format", output_format) for jobs in "12")
    assert one.returncode == 1
    assert "bogus" in one.stdout
    assert (two.returncode, two.stdout, two.stderr) == (one.returncode, one.stdout, one.stderr)


#: The command line with processes that say when they have work, and never end it.
ENDLESS = """
import os
import time
import registry.catalog.parallel as parallel
from registry.cli import main

def endless(run, file):
    os.write(1, b"at work\\n")  # at once, as there are two of them
    time.sleep(600)

parallel._answer = endless
main()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that starts anew does not know the endless work")
def test_an_interruption_ends_every_process(folder: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, "validate", "specs", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches them all
        _, errors = process.communicate(timeout=30)  # the pipes close when the last process has ended
    assert process.returncode == 1
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
