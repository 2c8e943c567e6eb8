"""Checks between settings of a model: what is told, where, and how gravely; expected values by arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest

import registry
from registry.diagnostics import Diagnostic
from registry.registry import Registry


@pytest.fixture(scope="module")
def made() -> Registry:
    return Registry()


def found(made: Registry, *lines: str, parent: str = "mobilenet_v3_small") -> list[Diagnostic]:
    """What is told of an heir whose own lines begin on line 4."""
    text = "\n".join(["kind: model", "name: mine", f"extends: {parent}", *lines]) + "\n"
    return list(made.library.validate_text(text.encode(), "m.yaml"))


def told(diagnostics: list[Diagnostic]) -> list[str]:
    return [f"{d.span.line}:{d.span.column} {d.severity} {d.rule}" for d in diagnostics]


# ---- image sizes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        (31, ["4:1 warning REG208"]),  # MobileNetV3's coarsest map has stride 32
        (32, []),
        (33, ["4:1 note REG208"]),
        (224, []),
        (225, ["4:1 note REG208"]),
    ],
)
def test_an_image_is_held_against_the_backbones_stride(made: Registry, crop: int, expected: list[str]) -> None:
    assert told(found(made, f"task: {{preprocessing: {{resize: 256, crop: {crop}}}}}")) == expected


def test_the_stride_is_the_one_after_dilation(made: Registry) -> None:
    lines = ["task: {preprocessing: {resize: 48, crop: 48}}", "backbone: {output_stride: 16}"]
    assert told(found(made, *lines)) == []  # 48 is 3 x 16, and 1.5 x 32
    assert told(found(made, lines[0])) == ["4:1 note REG208"]


def test_the_next_multiple_is_named(made: Registry) -> None:
    (diagnostic,) = found(made, "task: {preprocessing: {resize: 256, crop: 225}}")
    assert diagnostic.suggestion == "256x256 costs the same"  # 8 x 32


def test_an_unfitting_size_of_a_detector_is_told_at_its_head(made: Registry) -> None:
    lines = ["head: {image: {size: [16, 16]}}", "default_weights: null", "weights: null"]
    assert "4:1 warning REG208" in told(found(made, *lines, parent="ssdlite320_mnv3_large"))


def test_an_image_of_no_fixed_size_is_not_held_against_anything(made: Registry) -> None:
    assert told(found(made, "task: {preprocessing: {resize: null, crop: null}}")) == []


# ---- frozen stages ---------------------------------------------------------------------------------------------------

FROZEN = "backbone: {trainable_stages: 2, freeze: always}"


def test_frozen_stages_without_any_weights_are_told(made: Registry) -> None:
    (diagnostic,) = found(made, "default_weights: null", FROZEN)
    assert told([diagnostic]) == ["5:30 warning REG209"]  # at the number of stages
    # six maps, c0 to c5
    assert diagnostic.message == "the first 4 of the backbone's 6 stages are frozen with random weights"


@pytest.mark.parametrize(
    "lines",
    [
        [FROZEN],  # the parent has default weights
        ["default_weights: null", "backbone_weights: {source: ./w.pth}", FROZEN],
        ["default_weights: null", "backbone: {trainable_stages: 6, freeze: always}"],
        ["default_weights: null", "backbone: {trainable_stages: 2}"],
    ],
)
def test_frozen_stages_that_may_get_weights_are_right(made: Registry, lines: list[str]) -> None:
    assert told(found(made, *lines)) == []


def test_building_warns_once(made: Registry) -> None:
    overrides = {"default_weights": None, "backbone.trainable_stages": 2, "backbone.freeze": "always"}
    with pytest.warns(registry.RegistryWarning, match="frozen with random weights") as caught:
        made.build("mobilenet_v3_small", overrides=overrides, device="meta")
    assert len(caught) == 1


# ---- weights of another backbone -------------------------------------------------------------------------------------


def test_inherited_weights_of_another_backbone_are_told_at_the_backbone(made: Registry) -> None:
    (diagnostic,) = found(made, "backbone: {extends: resnet18}", "head: {type: resnet_classifier, num_classes: 1000}")
    assert told([diagnostic]) == ["4:1 warning REG214"]
    assert [note.span.file.endswith("mobilenet_v3_small.yaml") for note in diagnostic.related] == [True]


@pytest.mark.parametrize(
    "lines",
    [
        ["backbone: {output_stride: 16}"],  # a stride changes no tensor
        ["backbone: {in_channels: 1}"],  # which loading adapts when asked
        ["backbone: {norm: {kind: batch, eps: 1e-5}}"],
        ["head: {num_classes: 10}", "task: {categories: null}"],
    ],
)
def test_weights_that_still_fit_the_backbone_are_right(made: Registry, lines: list[str]) -> None:
    told_of = found(made, *lines)
    assert not [d for d in told_of if d.rule == "REG214" or d.severity == "error"]


def test_the_weights_of_a_detectors_backbone_are_looked_at_too(made: Registry) -> None:
    lines = ["backbone: {extends: resnet18}", "weights: null", "default_weights: null"]
    diagnostics = found(made, *lines, parent="fasterrcnn_resnet50_fpn")
    assert told([d for d in diagnostics if d.rule == "REG214"]) == ["4:1 warning REG214"]
    assert "`backbone_weights` of `fasterrcnn_resnet50_fpn`" in diagnostics[0].message
    assert "REG214" not in {
        d.rule for d in found(made, *lines, "backbone_weights: null", parent="fasterrcnn_resnet50_fpn")
    }


def test_own_weights_are_not_stale(made: Registry) -> None:
    lines = ["backbone: {extends: resnet18}", "head: {type: resnet_classifier, num_classes: 1000}"]
    own = ["weights: {MINE: {source: ./mine.safetensors}}", "default_weights: MINE"]
    assert told(found(made, *lines, *own)) == []


# ---- where an inherited contradiction is told ------------------------------------------------------------------------


def test_a_contradiction_with_an_inherited_setting_is_told_at_ones_own(made: Registry, tmp_path: Path) -> None:
    # the backbone's last map has stride 32 without dilation, and the inherited head wants 16
    diagnostics = found(made, "backbone: {dilated: false}", parent="lraspp_mnv3_large")
    assert [d for d in told(diagnostics) if "REG202" in d] == ["4:1 error REG202"]


# ---- names with a distribution ---------------------------------------------------------------------------------------


def test_a_type_with_its_distribution_is_the_same_type(made: Registry) -> None:
    lines = ["backbone: {type: vision-registry/mobilenet_v3, trainable_stages: 3}"]
    assert told(found(made, *lines)) == []


def test_a_type_with_an_empty_distribution_is_none(made: Registry) -> None:
    text = "kind: backbone\nname: mine\ntype: /mobilenet_v3\n"
    assert [d.rule for d in made.library.validate_text(text.encode(), "m.yaml")] == ["REG107"]
