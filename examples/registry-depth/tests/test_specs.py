"""Documents of depth models: what is right, and each mistake in plain words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import registry
from registry.diagnostics import SpecError
from registry_depth.specs import DepthSpec, decoder_maps

CATALOG = Path(__file__).resolve().parents[1] / "registry_depth" / "catalog"
RULE = Path(__file__).resolve().parents[1] / "registry_depth" / "rules" / "DEP101.md"


def found(document: str) -> list[tuple[str, str, str | None]]:
    """Rule, message and suggestion of each problem of a model document, by what follows its name."""
    text = f"kind: model\nname: mine\nextends: depth_mnv3_small\nfigures: null\n{document}"
    library = registry.default_registry().library
    return [(d.rule, d.message, d.suggestion) for d in library.validate_text(text.encode(), "mine.yaml")]


def test_every_document_is_right_and_of_this_task() -> None:
    assert [d for d in registry.validate(CATALOG) if d.severity != "note"] == []
    assert {"depth_mnv3_small", "depth_mnv3_large"} <= set(registry.list_models(task="depth"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("task: {categories: [wall]}", ("REG199", "a depth has no classes to name", "write null")),
        ("head: {num_classes: 2}", ("REG105", "2 is none of the choices", "known: `1`")),
        (
            "task: {min_depth: 10}",
            ("REG201", "`min_depth` 10 is not below `max_depth` 10", "write less than 10"),
        ),
        (
            "head: {min_depth: 20}",
            ("REG201", "`min_depth` 20 is not below `max_depth` 10", "write less than 10"),
        ),
        (
            "task: {max_depth: 80}\nhead: {max_depth: 80}",
            (
                "REG201",
                "80 m at 1000 values a metre do not fit 16 bits, which end at 65535",
                "write a `png_scale` of at most 819",  # 65535 / 80 = 819.19
            ),
        ),
        (
            "head: {stride: 3}",
            ("REG202", "the backbone has no map of stride 3", "choose from its strides 2, 4, 8, 16, 32"),
        ),
        (
            "head: {max_depth: 5}",
            (
                "DEP101",
                "depths to 10 m count in the task, and the head's end at 5 m",
                "write head.max_depth: 10, or task.max_depth: 5",
            ),
        ),
        (
            "task: {min_depth: 0.05}",
            (
                "DEP101",
                "depths to 0.05 m count in the task, and the head's end at 0.1 m",
                "write head.min_depth: 0.05, or task.min_depth: 0.1",
            ),
        ),
        (
            "head: {norm: {kind: group, groups: 24}}",
            ("REG201", "64 channels do not divide into 24 groups", "write 32, which divides every channel count"),
        ),
        ("task: {variance_focus: 1.5}", ("REG104", "must be at most 1, got 1.5", None)),
    ],
)
def test_a_mistake_is_told(document: str, expected: tuple[str, str, str | None]) -> None:
    assert found(document) == [expected]


def test_a_head_whose_range_is_wider_than_the_tasks_is_right() -> None:
    assert found("head: {min_depth: 0.05, max_depth: 20}") == []


def test_the_page_of_the_rule_has_a_wrong_example_that_breaks_it_and_a_right_one() -> None:
    wrong, right = re.findall(r"```yaml\n(.*?)```", RULE.read_text(encoding="utf-8"), flags=re.DOTALL)
    library = registry.default_registry().library
    assert [d.rule for d in library.validate_text(wrong.encode(), "wrong.yaml")] == ["DEP101"]
    assert library.validate_text(right.encode(), "right.yaml") == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [("c1", 4), ("c2", 8), ("c3", 16), ("c5", 32)]),
        ({"head.stride": 16}, [("c3", 16), ("c5", 32)]),
        ({"backbone.dilated": True}, [("c1", 4), ("c2", 8), ("c5", 16)]),
    ],
)
def test_the_decoder_takes_the_last_map_of_each_stride(settings: Any, expected: list[tuple[str, int]]) -> None:
    spec: Any = registry.load_spec("depth_mnv3_small", overrides=settings)
    assert [(feature.name, feature.stride) for feature in decoder_maps(spec.head, spec.backbone)] == expected


def test_size_is_the_shorter_side() -> None:
    spec = DepthSpec()
    assert spec.settings_for("size", 320) == {"preprocessing.resize": 320}
    assert spec.settings_for("score", 0.5) == {}


def test_validating_imports_no_torch() -> None:
    code = (
        "import sys, registry\n"
        f"assert not [d for d in registry.validate({str(CATALOG)!r}) if d.severity != 'note']\n"
        "assert 'registry_depth.specs' in sys.modules\n"
        "print([name for name in ('torch', 'torchvision', 'PIL', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_range_stops_a_build() -> None:
    with pytest.raises(SpecError):
        registry.build("depth_mnv3_small", overrides={"task.min_depth": 10.0})
