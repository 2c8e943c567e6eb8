"""Specs and documents: what is checked before anything is built, and the page of the plugin's own rule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import registry
import registry_centernet
from registry.diagnostics import SpecError

HOME = Path(registry_centernet.__file__).parent


def _found(overrides: dict[str, object], model: str = "centernet_mnv3_small") -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as error:
        registry.load_spec(model, overrides=overrides)
    return [(d.rule, d.message) for d in error.value.diagnostics]


def test_the_catalog_is_clean() -> None:
    assert registry.default_registry().validate(HOME / "catalog") == ()


@pytest.mark.parametrize(
    ("overrides", "rule", "text"),
    [
        ({"head.neck.levels": [4, 64]}, "REG202", "no map of stride 64"),
        ({"head.neck.levels": ["c2_expansion"]}, "REG202", "no map `c2_expansion`"),
        ({"head.neck.levels": [8, 4]}, "REG202", "level 4 does not lie after 8"),
        ({"head.neck.norm": {"kind": "group", "groups": 7}}, "REG201", "64 channels do not divide into 7 groups"),
        ({"head.image.max_size": 100}, "REG201", "`max_size` 100 is less than `min_size` 320"),
        ({"backbone.in_channels": 4}, "REG201", "`mean` has 3 values and images have 4 channels"),
        ({"head.num_classes": 1, "task.categories": None}, "REG204", "nothing to find"),
        ({"head.prior": 1.0}, "REG104", "less than 1"),
        ({"head.loss.min_overlap": 0}, "REG104", "greater than 0"),
        ({"head.neck.upsampling": "cubic"}, "REG105", "cubic"),
        ({"head.neck.levels": []}, "REG104", "at least 1 item"),
    ],
)
def test_contradictions(overrides: dict[str, object], rule: str, text: str) -> None:
    found = _found(overrides)
    assert [r for r, message in found if text in message] == [rule], found


def test_any_backbone_with_the_strides_will_do() -> None:
    for backbone in ("resnet50", "mobilenet_v2", "mobilenet_v3_large"):
        spec = registry.load_spec("centernet_resnet18", overrides={"backbone": backbone, "backbone_weights": None})
        assert spec.backbone.type in backbone.replace("mobilenet_v3_large", "mobilenet_v3")


def test_size_of_prediction_keeps_the_proportion() -> None:
    head = registry.load_spec("centernet_mnv3_small").head
    assert head.settings_for("size", 640) == {"image.min_size": 640, "image.max_size": 1088}  # 544 / 320 is 1.7
    assert head.settings_for("top", 5) == {}


def test_the_page_of_the_rule_shows_what_it_says(tmp_path: Path) -> None:
    page = (HOME / "rules" / "CEN001.md").read_text(encoding="utf-8")
    wrong, right = (block.partition("```")[0] for block in page.split("```yaml\n")[1:])
    found = {}
    for name, text in (("wrong", wrong), ("right", right)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        found[name] = [(d.rule, d.severity) for d in registry.default_registry().validate(file)]
    assert found == {"wrong": [("CEN001", "warning")], "right": []}


def test_validation_imports_no_torch() -> None:
    code = (
        "import sys, registry; "
        "registry.load_spec('centernet_mnv3_small'); "
        "print([name for name in ('torch', 'torchvision', 'numpy', 'PIL') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
