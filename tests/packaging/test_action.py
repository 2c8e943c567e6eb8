"""The GitHub action: its structure, and its shell steps as written, run by the bash that GitHub would call."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

Run = Callable[..., CompletedProcess[str]]

INPUTS = {"paths", "exclude", "strict", "format", "sarif-file", "version", "python-version", "plugins"}
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture(scope="module")
def action(root: Path) -> dict[str, Any]:
    """The parsed `action.yml`."""
    data = yaml.safe_load((root / "action.yml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def _shell_steps(action: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in action["runs"]["steps"] if "run" in step]


def test_it_is_a_composite_action_whose_inputs_have_defaults(action: dict[str, Any]) -> None:
    assert action["runs"]["using"] == "composite"
    assert action["name"]
    assert action["description"]
    assert set(action["inputs"]) == INPUTS
    for name, entry in action["inputs"].items():
        assert set(entry) == {"description", "default"}, name
        # GitHub hands every input over as a text
        assert isinstance(entry["default"], str), name


def test_steps_are_bash_that_no_input_can_write_into(action: dict[str, Any]) -> None:
    steps = action["runs"]["steps"]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    for step in _shell_steps(action):
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert step["run"].startswith("set -euo pipefail\n")


def test_what_others_wrote_is_pinned_to_a_major_version(action: dict[str, Any]) -> None:
    used = [step["uses"] for step in action["runs"]["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


def test_every_input_is_used_and_nothing_else_is_asked_for(action: dict[str, Any]) -> None:
    asked = set()
    for step in action["runs"]["steps"]:
        for value in {**step.get("env", {}), **step.get("with", {})}.values():
            asked |= set(re.findall(r"\$\{\{ *inputs\.([\w-]+) *\}\}", str(value)))
    assert asked == INPUTS


def test_the_page_on_ci_lists_the_inputs_with_their_defaults(action: dict[str, Any], root: Path) -> None:
    page = (root / "docs" / "ci.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (?:`(.+?)`|.*?) \|", page, flags=re.MULTILINE))
    assert table == {name: entry["default"] for name, entry in action["inputs"].items()}
    for block in re.findall(r"```yaml\n(.+?)```", page, flags=re.DOTALL):
        yaml.safe_load(block)


@needs_bash
def test_scripts_are_sound_bash(action: dict[str, Any], tmp_path: Path, run: Run) -> None:
    for step in _shell_steps(action):
        (tmp_path / "step.sh").write_text(step["run"], encoding="utf-8")
        result = run(["bash", "-n", "step.sh"], tmp_path)
        assert (result.returncode, result.stderr) == (0, "")


@dataclass
class Job:
    """A job on a runner: the action's steps, with the variables that GitHub would set."""

    action: dict[str, Any]
    checkout: Path
    runner_temp: Path
    run: Run
    pip: dict[str, str]

    def step(self, index: int, workspace: Path, inputs: dict[str, str]) -> CompletedProcess[str]:
        """Runs a shell step, as GitHub calls bash for `shell: bash`."""
        step = _shell_steps(self.action)[index]
        given = {name: entry["default"] for name, entry in self.action["inputs"].items()}
        assert set(inputs) <= set(given)
        given.update(inputs)
        env = {name: self._evaluated(value, given) for name, value in step["env"].items()}
        script = self.runner_temp / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        env |= {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(self.checkout),
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(self.runner_temp),
        }
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script]
        return self.run(command, workspace, **env, **self.pip)

    def install(self, workspace: Path, **inputs: str) -> CompletedProcess[str]:
        """The step that installs."""
        return self.step(0, workspace, _named(inputs))

    def check(self, workspace: Path, **inputs: str) -> CompletedProcess[str]:
        """The step that checks."""
        return self.step(1, workspace, _named(inputs))

    def _evaluated(self, value: str, inputs: dict[str, str]) -> str:
        known = {f"inputs.{name}": text for name, text in inputs.items()}
        known["steps.python.outputs.python-path"] = sys.executable
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known[found[1]], value)


def _named(inputs: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in inputs.items()}


@pytest.fixture(scope="module")
def start_job(
    action: dict[str, Any], source_tree: Path, from_wheelhouse: dict[str, str], run: Run
) -> Callable[[Path], Job]:
    """Makes a job whose temporary folder is the given one; pip installs what the step says, from the wheelhouse."""

    def start(runner_temp: Path) -> Job:
        runner_temp.mkdir(parents=True)
        return Job(action, source_tree, runner_temp, run, from_wheelhouse)

    return start


@pytest.fixture(scope="module")
def job(start_job: Callable[[Path], Job], tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job in which the action's own checkout is installed."""
    folder = tmp_path_factory.mktemp("job")
    started = start_job(folder / "runner temp")
    result = started.install(folder)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    return started


@pytest.fixture
def workspace(tmp_path: Path, documents: dict[str, str]) -> Path:
    """A repository with a good document, a broken one, one with a warning, and a YAML file that is no document."""
    folder = tmp_path / "work space"
    for name in ("good", "broken", "warned"):
        (folder / f"{name} specs").mkdir(parents=True)
        (folder / f"{name} specs" / f"{name}.yaml").write_text(documents[name], encoding="utf-8")
    (folder / "compose.yaml").write_text(documents["no_document"], encoding="utf-8")
    return folder


@pytest.mark.slow
@needs_bash
class TestSteps:
    def test_torch_is_not_installed(self, job: Job, workspace: Path, run: Run) -> None:
        installed = job.runner_temp / "vision-registry" / "bin" / "python"
        assert run([installed, "-c", "import registry"], workspace).returncode == 0
        assert run([installed, "-c", "import torch"], workspace).returncode == 1

    def test_right_documents_pass(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, paths="good specs")
        assert (result.returncode, result.stderr) == (0, "")
        assert "::error" not in result.stdout

    def test_a_mistake_is_annotated_where_it_stands_and_fails(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, paths="broken specs")
        assert result.returncode == 1
        (line,) = [line for line in result.stdout.splitlines() if line.startswith("::error ")]
        properties, message = line.removeprefix("::error ").split("::", 1)
        named = dict(entry.split("=", 1) for entry in properties.split(","))
        # the runner makes the file relative to the checkout
        assert (named["file"], named["line"], named["col"]) == (str(workspace / "broken specs/broken.yaml"), "5", "3")
        assert "REG101" in line
        assert "num_clases" in message

    def test_the_default_is_the_whole_repository(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, format="text")
        assert result.returncode == 1
        assert "broken specs/broken.yaml:5:3" in result.stdout
        assert "compose.yaml:1:1" in result.stdout

    def test_paths_stand_one_per_line_and_may_hold_blanks(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, paths="  good specs/good.yaml \r\n\n broken specs\n", format="text")
        assert result.returncode == 1
        assert "broken specs/broken.yaml:5:3" in result.stdout
        assert "compose.yaml" not in result.stdout

    def test_files_can_be_left_out(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, exclude="compose.yaml\nbroken specs/*\n")
        assert (result.returncode, result.stderr) == (0, "")
        assert "::error" not in result.stdout

    def test_warnings_fail_when_the_check_is_strict(self, job: Job, workspace: Path) -> None:
        lenient = job.check(workspace, paths="warned specs")
        strict = job.check(workspace, paths="warned specs", strict="true")
        assert (lenient.returncode, strict.returncode) == (0, 1)
        assert f"::warning file={workspace / 'warned specs/warned.yaml'},line=6" in lenient.stdout

    @pytest.mark.parametrize(("folder", "code", "rules"), [("good", 0, []), ("broken", 1, ["REG101"])])
    def test_sarif_is_written_beside_the_log_and_the_exit_code_is_kept(
        self, job: Job, workspace: Path, folder: str, code: int, rules: list[str]
    ) -> None:
        result = job.check(workspace, paths=f"{folder} specs", sarif_file="out put/specs.sarif")
        assert (result.returncode, result.stderr) == (code, "")
        assert result.stdout.count("::error ") == code  # once, though two runs found it
        log = json.loads((workspace / "out put" / "specs.sarif").read_text(encoding="utf-8"))
        assert log["version"] == "2.1.0"
        results = log["runs"][0]["results"]
        assert [found["ruleId"] for found in results] == rules
        places = [found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for found in results]
        assert places == ["broken%20specs/broken.yaml" for _ in rules]  # relative, as code scanning wants it

    def test_sarif_knows_that_the_check_is_strict(self, job: Job, workspace: Path) -> None:
        result = job.check(workspace, paths="warned specs", strict="true", sarif_file="specs.sarif")
        assert result.returncode == 1
        log = json.loads((workspace / "specs.sarif").read_text(encoding="utf-8"))
        assert [found["ruleId"] for found in log["runs"][0]["results"]] == ["REG207"]

    def test_a_sarif_file_that_cannot_be_written_is_no_success(self, job: Job, workspace: Path) -> None:
        (workspace / "taken").mkdir()
        result = job.check(workspace, paths="good specs", sarif_file="taken")
        assert result.returncode != 0
        assert "Traceback" not in result.stderr

    @pytest.mark.parametrize("output_format", ["text", "json", "github", "sarif", "junit"])
    def test_every_format_can_be_chosen(self, job: Job, workspace: Path, output_format: str) -> None:
        result = job.check(workspace, paths="broken specs", format=output_format)
        assert (result.returncode, result.stderr) == (1, "")
        assert "broken" in result.stdout

    @pytest.mark.parametrize(
        "inputs", [{"format": "pdf"}, {"strict": "yes"}, {"paths": " \n "}, {"format": "pdf", "sarif_file": "x.sarif"}]
    )
    def test_wrong_inputs_are_misuse(self, job: Job, workspace: Path, inputs: dict[str, str]) -> None:
        result = job.check(workspace, **inputs)
        assert result.returncode == 2
        assert not (workspace / "x.sarif").exists()

    def test_inputs_are_words_and_never_code(self, job: Job, workspace: Path) -> None:
        hostile = "$(touch made); `touch made`; '; touch made; \"; touch made #"
        for name in ("paths", "exclude", "strict", "format", "sarif_file"):
            job.check(workspace, **{"paths": "good specs", name: hostile})
        assert "--version" in job.check(workspace, paths="--version", format="text").stdout  # a file, not an option
        assert not (workspace / "made").exists()

    def test_folders_of_the_caller_hide_nothing(self, job: Job, workspace: Path) -> None:
        for name in ("registry", "yaml", "pydantic"):
            (workspace / name).mkdir()
            (workspace / name / "__init__.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
        assert job.check(workspace, paths="good specs").returncode == 0


@pytest.mark.slow
@needs_bash
def test_a_plugin_installed_beside_it_is_known(
    start_job: Callable[[Path], Job], tmp_path: Path, plugin_source: Path, documents: dict[str, str], job: Job
) -> None:
    shutil.copytree(plugin_source, tmp_path / "tiny_head")
    (tmp_path / "model.yaml").write_text(documents["with_plugin"], encoding="utf-8")
    alone = job.check(tmp_path, paths="model.yaml")
    assert alone.returncode == 1
    assert "REG107" in alone.stdout
    beside = start_job(tmp_path / "temp")
    installed = beside.install(tmp_path, plugins="\n# ours\n./tiny_head\n")
    assert installed.returncode == 0, installed.stderr
    result = beside.check(tmp_path, paths="model.yaml")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


@pytest.mark.slow
@needs_bash
@pytest.mark.parametrize(
    ("version", "code"), [("0.1.0", 0), (">=0.1,<1", 0), ("99.0", 1), ("main", 2), ("--help", 2), ("; true", 2)]
)
def test_a_version_can_be_chosen(
    start_job: Callable[[Path], Job], tmp_path: Path, wheel: Path, run: Run, version: str, code: int
) -> None:
    job = start_job(tmp_path / "temp")
    job.checkout = Path(os.devnull)  # it is not what gets installed
    job.pip = {**job.pip, "PIP_NO_DEPS": "1"}  # for speed
    result = job.install(tmp_path, version=version)
    assert result.returncode == code, result.stderr
    if code == 0:
        script = "import importlib.metadata as m; print(m.version('vision-registry'))"
        shown = run([tmp_path / "temp/vision-registry/bin/python", "-c", script], tmp_path)
        assert shown.stdout.strip() == wheel.name.split("-")[1]
