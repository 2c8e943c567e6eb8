"""The scheme `openvino`, tried in a process of its own, in which no other engine has threads; see openvino_cases.py."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("openvino_cases.py")


def _cases(*, slow: bool) -> set[str]:
    """Names of the functions that are marked so, told without importing the file."""
    tree = ast.parse(CASES.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {node.name for node in found if slow == ("pytest.mark.slow" in map(ast.unparse, node.decorator_list))}


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_scheme(slow: bool) -> None:
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("needs nncf, of the extra `quantize`")
    which = "slow" if slow else "not slow"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-m",
        which,
        str(CASES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    results = re.findall(r"openvino_cases\.py::(test_\w+).*? (PASSED|SKIPPED)", done.stdout)
    skipped = {name for name, result in results if result == "SKIPPED"}
    lacking = {"test_photographs_are_told_as_in_float", "test_only_the_backbone_of_a_detector_is_rounded"}
    assert skipped <= lacking, done.stdout[-4000:]  # the real photographs, onnxscript
    assert {name for name, _ in results} == _cases(slow=slow)
    assert len(results) == (4 if slow else 18)
