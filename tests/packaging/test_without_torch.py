"""An environment without torch: whatever needs none runs, and what needs it says which extra brings it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

Run = Callable[..., CompletedProcess[str]]
Verb = Callable[..., CompletedProcess[str]]

pytestmark = pytest.mark.slow

#: Every way to call a verb that needs no torch; `{folder}` has a good document, another one and a document of a part.
TORCH_FREE: dict[str, Sequence[Sequence[str]]] = {
    "list": [[], ["--format", "json"], ["--task", "detection", "--sort", "metric"], ["*small*"]],
    "show": [["mobilenet_v3_small"], ["fasterrcnn_mnv3_large_fpn"], ["lraspp_mnv3_large", "--format", "json"]],
    "explain": [["mobilenet_v3_large_075"], ["good.yaml"], ["good.yaml", "--set", "backbone.width_mult=0.5"]],
    "validate": [
        [],
        ["."],
        ["good.yaml", "--strict"],
        *[["good.yaml", "--format", name] for name in ("text", "json", "github", "sarif", "junit")],
        ["good.yaml", "--format", "sarif", "--output", "report.sarif"],
        [".", "--exclude", "*.yml"],
        ["good.yaml", "--fix"],
    ],
    "export": [["mobilenet_v3_small", "--target", "onnx", "--dry-run", "-o", "model.onnx"]],
    "quantize": [["mobilenet_v3_small_int8", "--data", "digits_classification", "-o", "model.pte", "--dry-run"]],
    "rule": [[], ["REG101"], ["REG207", "--format", "json"]],
    "schema": [[], ["model"], ["--out", "schemas"]],
    "plugins": [[], ["--format", "json"]],
    "new-plugin": [
        ["my-head"],
        *[["my-part", "--part", kind, "--format", "json"] for kind in ("head", "backbone", "task", "dataset")],
        *[["my-part", "--part", kind, "--into", "."] for kind in ("recipe", "quantization", "export")],
    ],
    "diff": [
        ["good.yaml", "good.yaml", "--exit-code"],
        ["good.yaml", "mobilenet_v3_small", "--format", "json"],
        ["mobilenet_v3_small", "mobilenet_v3_large"],
    ],
}
#: Calls that need torch.
NEEDS_TORCH: dict[str, Sequence[Sequence[str]]] = {
    "build": [["mobilenet_v3_small"], ["good.yaml", "--check"]],
    "predict": [["mobilenet_v3_small", "picture.png"]],
    "demo": [[]],
    "train": [["good.yaml", "--data", "digits_classification"]],
    "evaluate": [["good.yaml", "--data", "digits_classification"]],
    "tune": [["good.yaml", "--data", "digits_classification", "--search", "recipe.rate=log:1e-4,1e-2"]],
    "export": [["good.yaml", "--target", "torch-export", "--random-weights", "-o", "model.pt2"]],
    "quantize": [["good.yaml", "--data", "digits_classification", "--weights", "w.safetensors"]],
    "benchmark": [["good.yaml", "--random-weights"], ["--suite", "mobilenetv3"]],
    "data": [["check", "digits_classification"]],
    "validate": [["good.yaml", "--deep"]],
}


def _calls(table: dict[str, Sequence[Sequence[str]]]) -> list[list[str]]:
    return [[verb, *arguments] for verb, calls in table.items() for arguments in calls]


@pytest.fixture
def folder(tmp_path: Path, documents: dict[str, str]) -> Path:
    """A folder with documents, and with a picture's name."""
    (tmp_path / "good.yaml").write_text(documents["good"], encoding="utf-8")
    (tmp_path / "accepted.yml").write_text(documents["accepted"], encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


@pytest.fixture
def call(folder: Path, without_torch: Path, run: Run) -> Verb:
    """Runs `registry` in the folder, in the environment without torch."""

    def start(*arguments: str) -> CompletedProcess[str]:
        return run([without_torch / "registry", *arguments], folder)

    return start


def _verbs(call: Verb) -> list[str]:
    text = call("--help").stdout.split("\nVerbs:\n")[1]
    return re.findall(r"^  (\S+)(?: {2,}|$)", text, flags=re.MULTILINE)


def test_torch_is_not_there(without_torch: Path, run: Run, folder: Path) -> None:
    listed = run([without_torch / "python", "-m", "pip", "list", "--format", "json"], folder)
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    assert "vision-registry" in names
    assert not names & {"torch", "torchvision", "numpy", "pillow", "safetensors"}


def test_the_package_and_every_module_of_it_that_torch_free_code_uses_can_be_imported(
    without_torch: Path, run: Run, folder: Path
) -> None:
    script = "import registry; registry.default_registry().library.validate_catalog(); print(registry.__version__)"
    result = run([without_torch / "python", "-W", "error", "-c", script], folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_verb_is_in_one_of_the_tables(call: Verb) -> None:
    assert set(_verbs(call)) == {*TORCH_FREE, *NEEDS_TORCH}


def test_every_verb_explains_itself(call: Verb) -> None:
    for verb in _verbs(call):
        result = call(verb, "--help")
        assert (result.returncode, result.stderr) == (0, ""), verb
        assert result.stdout.startswith(f"Usage: registry {verb} "), verb


@pytest.mark.parametrize("words", _calls(TORCH_FREE), ids=" ".join)
def test_verbs_that_need_no_torch_run(call: Verb, words: list[str]) -> None:
    result = call(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.parametrize("words", _calls(NEEDS_TORCH), ids=" ".join)
def test_verbs_that_need_torch_name_the_extra(call: Verb, words: list[str]) -> None:
    result = call(*words)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(
        r"error: .+ needs the package `torch(vision)?`; "
        r"install it with: pip install 'vision-registry\[(torch|demo)\]'",
        line,
    )


def test_each_format_holds_a_mistake_with_its_place(call: Verb, folder: Path, documents: dict[str, str]) -> None:
    (folder / "broken.yaml").write_text(documents["broken"], encoding="utf-8")
    shown = {name: call("validate", "broken.yaml", "--format", name) for name in ("json", "github", "sarif", "junit")}
    for name, result in shown.items():
        assert (result.returncode, result.stderr) == (1, ""), name
    (found,) = json.loads(shown["json"].stdout)
    assert found["rule"] == "REG101"
    assert shown["github"].stdout.startswith("::error ")
    assert "line=5,endLine=5,col=3" in shown["github"].stdout
    (result,) = json.loads(shown["sarif"].stdout)["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (result["ruleId"], region["startLine"], region["startColumn"]) == ("REG101", 5, 3)
    (failure,) = ElementTree.fromstring(shown["junit"].stdout).iter("failure")
    assert "broken.yaml:5:3" in "".join([*failure.attrib.values(), *failure.itertext()])


def test_the_schema_is_one(call: Verb) -> None:
    assert "$schema" in json.loads(call("schema").stdout)


def test_a_difference_can_be_an_exit_code(call: Verb) -> None:
    result = call("diff", "good.yaml", "mobilenet_v3_small", "--exit-code")
    assert (result.returncode, result.stderr) == (1, "")
    assert "head.num_classes" in result.stdout
