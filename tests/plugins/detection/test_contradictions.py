"""Settings of detectors that are valid alone and useless together: groups, classes, anchors, bounds and limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_detection.settings import AnchorsSpec
from torch import nn
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator

import registry
from registry.specs import Finding

P3P5, SMALL, SSDLITE = "fasterrcnn_mnv3_large_fpn_p3p5", "fasterrcnn_mnv3_small_320_fpn", "ssdlite320_mnv3_large"
RETINANET = {
    "head": {
        "type": "retinanet",
        "num_classes": 91,
        "pyramid": {"levels": [8, 16, 32], "extra": "p6p7"},
        "anchors": {"sizes": [[16], [32], [64], [128], [256]]},
    }
}


def findings(document: str, overrides: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rule, place and text of what is wrong, warnings included."""
    try:
        spec = registry.load_spec(document, overrides={"accepts": ["REG212"], "task.categories": None, **overrides})
    except registry.SpecError as error:
        return [(d.rule, d.severity, d.text) for d in error.diagnostics]
    return [(f.rule, f.severity, f"{f.message}; {f.suggestion}") for f in spec.check()]


def retinanet(**settings: Any) -> dict[str, Any]:
    return {**RETINANET, **{f"head.{key.replace('__', '.')}": value for key, value in settings.items()}}


# ---- groups ----------------------------------------------------------------------------------------------------------

#: The levels have 672 and 480 channels, the extra ones 512, 256, 256 and 128, and half as many inside.
SSDLITE_CHANNELS = (672, 480, 512, 256, 256, 128, 256, 128, 128, 64)


@pytest.mark.parametrize("groups", [1, 2, 3, 7, 8, 15, 21, 32, 64])
def test_groups_of_ssdlite_divide_its_levels_its_extra_levels_and_their_halves(groups: int) -> None:
    found = findings(SSDLITE, {"head.norm": {"kind": "group", "groups": groups}})
    bad = sorted({count for count in SSDLITE_CHANNELS if count % groups})
    text = f"{bad[0] if bad else ''} channels do not divide into {groups} groups; write 32, which divides every channel count"
    assert found == ([("REG201", "error", text)] if bad else [])


def test_what_is_not_refused_is_built() -> None:
    model = registry.build(SSDLITE, overrides={"head.norm": {"kind": "group", "groups": 32}}, device="meta")
    norms = [layer for layer in model.modules() if isinstance(layer, nn.GroupNorm)]
    assert {norm.num_channels for norm in norms} == set(SSDLITE_CHANNELS)
    assert {norm.num_groups for norm in norms} == {32}


@pytest.mark.parametrize("overrides", [{}, RETINANET], ids=["faster_rcnn", "retinanet"])
def test_groups_of_a_pyramid_divide_its_channels(overrides: dict[str, Any]) -> None:
    text = "256 channels do not divide into 7 groups; write 32, which divides every channel count"
    seven = {"head.pyramid.norm": {"kind": "group", "groups": 7}}
    assert findings(P3P5, {**overrides, **seven}) == [("REG201", "error", text)]
    assert findings(P3P5, {**overrides, **seven, "head.pyramid.out_channels": 14}) == []
    assert findings(P3P5, {**overrides, "head.pyramid.norm": "batch", "head.pyramid.out_channels": 7}) == []


# ---- classes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [P3P5, SSDLITE])
def test_the_background_alone_is_nothing_to_find(document: str) -> None:
    text = "the only class is the background, so there is nothing to find; write at least 2: class 0 is the background"
    assert findings(document, {"head.num_classes": 1}) == [("REG204", "error", text)]
    assert findings(document, {"head.num_classes": 2}) == []


def test_retinanet_has_no_background_so_one_class_is_enough() -> None:
    assert findings(P3P5, retinanet(num_classes=1)) == []


# ---- anchors ---------------------------------------------------------------------------------------------------------


def boxes(size: int, ratio: float) -> torch.Tensor:
    generator = AnchorGenerator(sizes=((size,),), aspect_ratios=((ratio,),))
    (box,) = generator.cell_anchors[0]
    return box


RATIOS = (0.001, 0.04, 1 / 9, 0.25, 1 / 3, 0.5, 0.999, 1.0, 1.001, 2.0, 3.0, 4.0, 9.0, 25.0, 1000.0)


@pytest.mark.parametrize("ratio", RATIOS)
def test_anchors_of_no_area_are_those_that_torchvision_would_make(ratio: float) -> None:
    for size in (*range(1, 12), 31, 32, 64):
        x1, y1, x2, y2 = boxes(size, ratio).tolist()
        found = list(AnchorsSpec(sizes=((64, size),), ratios=(1.0, ratio)).problems(1, "anchors"))
        if x2 - x1 > 0 < y2 - y1:
            assert found == [] or 64 * math.sqrt(min(ratio, 1 / ratio)) <= 1
        else:
            assert found[-1].path == ("anchors", "sizes", 0, 1)
            assert (found[-1].rule, found[-1].severity) == ("REG201", "error")
            hint = found[-1].suggestion or ""
            least = int(hint.removeprefix("write at least ").removesuffix(" for this ratio"))
            assert float(boxes(least, ratio).abs().min()) > 0
            assert float(boxes(least - 1, ratio).abs().min()) == 0 or least == 1


def test_an_anchor_of_no_area_makes_an_infinite_loss() -> None:
    target = BoxCoder((1.0, 1.0, 1.0, 1.0)).encode_single(torch.tensor([[0.0, 0.0, 8.0, 8.0]]), boxes(1, 1.0)[None])
    assert not bool(target.isfinite().all())


@pytest.mark.parametrize(
    ("sizes", "ratios", "expected"),
    [
        ([[8], [1], [32], [64]], [1.0], "1 and ratio 1 has a height of 1 pixels, which rounds to 0; write at least 2"),
        (
            [[8], [2], [32], [64]],
            [4.0, 1.0],
            "2 and ratio 4 has a width of 1 pixels, which rounds to 0; write at least 3",
        ),
        (
            [[16], [8], [32], [64]],
            [1, 0.01],
            "8 and ratio 0.01 has a height of 0.8 pixels, which rounds to 0; write at least 11",
        ),
    ],
)
@pytest.mark.parametrize("overrides", [{}, RETINANET], ids=["faster_rcnn", "retinanet"])
def test_anchors_of_no_area_are_told(sizes: Any, ratios: Any, expected: str, overrides: dict[str, Any]) -> None:
    sizes = sizes + [[128]] if overrides else sizes
    found = findings(P3P5, {**overrides, "head.anchors.sizes": sizes, "head.anchors.ratios": ratios})
    assert found == [("REG201", "error", f"a box of size {expected} for this ratio")]


def test_every_level_and_size_is_told() -> None:
    found = list(AnchorsSpec(sizes=((1, 2), (8, 1))).problems(2, "anchors"))
    assert [finding.path for finding in found] == [("anchors", "sizes", 0, 0), ("anchors", "sizes", 1, 1)]


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "setting", "value"),
    [
        (P3P5, "head.anchors.ratios", [1e-300]),
        (P3P5, "head.anchors.ratios", [1.0, 0.0009]),
        (P3P5, "head.anchors.ratios", [1001.0]),
        (P3P5, "head.image.std", [1e-300]),
        (P3P5, "head.image.std", [0.0]),
        (P3P5, "head.image.std", [-0.5]),
        (P3P5, "head.image.std", [9e-7]),
        (P3P5, "head.image.mean", [1e308]),
        (P3P5, "head.image.mean", [-1.1e6]),
        (P3P5, "head.box.regression_weights", [10, 10, 5, 1e300]),
        (P3P5, "head.box.regression_weights", [10, 10, 5, 1e-300]),
        (SSDLITE, "head.image.std", [1e-300]),
        (SSDLITE, "head.image.mean", [1e308]),
        (SSDLITE, "head.boxes.min_ratio", 0.0),
        (SSDLITE, "head.boxes.ratios", [[1e-300], [2], [2], [2], [2], [2]]),
    ],
)
def test_numbers_of_no_use_are_out_of_range(document: str, setting: str, value: Any) -> None:
    assert [(rule, severity) for rule, severity, _ in findings(document, {setting: value})] == [("REG104", "error")]


@pytest.mark.parametrize(
    ("document", "setting", "value"),
    [
        (P3P5, "head.anchors.ratios", [0.01, 100.0]),
        (P3P5, "head.image.std", [1e-6]),
        (P3P5, "head.image.std", [255.0]),
        (P3P5, "head.image.mean", [-1e6]),
        (P3P5, "head.box.regression_weights", [0.001, 1000, 1, 1]),
        (SSDLITE, "head.boxes.min_ratio", 0.001),
        (SSDLITE, "head.boxes.ratios", [[0.001], [1000.0], [2], [2], [2], [2]]),
    ],
)
def test_the_bounds_themselves_are_fine(document: str, setting: str, value: Any) -> None:
    assert findings(document, {setting: value}) == []


# ---- thresholds and limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "background", "foreground"), [("rpn", 0.8, 0.7), ("box", 0.6, 0.55)])
def test_background_above_foreground_is_an_error(part: str, background: float, foreground: float) -> None:
    settings = {f"head.{part}.background_iou": background, f"head.{part}.foreground_iou": foreground}
    text = f"`background_iou` {background} is above `foreground_iou` {foreground}; write at most {foreground}"
    assert findings(P3P5, settings) == [("REG201", "error", text)]
    assert findings(P3P5, {**settings, f"head.{part}.background_iou": foreground}) == []


#: The pyramid has the levels 8, 16 and 32, and one on top.
LIMITS = [
    (
        P3P5,
        {"head.rpn.pre_nms_top_n_train": 400, "head.rpn.post_nms_top_n_train": 1601},
        "`post_nms_top_n_train` 1601 is never reached: 4 levels yield at most 400 proposals each "
        "(`pre_nms_top_n_train`), 1600 in all; write at most 1600, or raise the other",
    ),
    (
        P3P5,
        {"head.rpn.pre_nms_top_n_test": 150, "head.rpn.post_nms_top_n_test": 1000},
        "`post_nms_top_n_test` 1000 is never reached: 4 levels yield at most 150 proposals each "
        "(`pre_nms_top_n_test`), 600 in all; write at most 600, or raise the other",
    ),
    (
        P3P5,
        {"head.rpn.post_nms_top_n_test": 50, "head.num_classes": 2},
        "`detections_per_image` 100 is never reached: at most 50 proposals may be of 1 class each, 50 in all; "
        "write at most 50, or raise the other",
    ),
    (
        P3P5,
        {"head.rpn.post_nms_top_n_test": 50, "head.num_classes": 4, "head.box.detections_per_image": 151},
        "`detections_per_image` 151 is never reached: at most 50 proposals may be of 3 classes each, 150 in all; "
        "write at most 150, or raise the other",
    ),
    (
        P3P5,
        {"head.rpn.positive_fraction": 0.003},
        "`positive_fraction` 0.003 of `batch_size_per_image` 256 is less than 1 and rounds down to 0, so the loss never "
        "looks at an object; write a fraction of which at least one is left",
    ),
    (
        P3P5,
        {"head.box.batch_size_per_image": 3},
        "`positive_fraction` 0.25 of `batch_size_per_image` 3 is less than 1 and rounds down to 0, so the loss never "
        "looks at an object; write a fraction of which at least one is left",
    ),
    (
        P3P5,
        retinanet(candidates=50, detections_per_image=251),
        "`detections_per_image` 251 is never reached: 5 levels yield at most 50 each (`candidates`), 250 in all; "
        "write at most 250, or raise the other",
    ),
    (
        SSDLITE,
        {"head.candidates": 20, "head.num_classes": 11},
        "`detections_per_image` 300 is never reached: 10 classes may have 20 candidates each (`candidates`), 200 in all; "
        "write at most 200, or raise the other",
    ),
]


@pytest.mark.parametrize(("document", "overrides", "text"), LIMITS)
def test_limits_that_are_never_reached_are_warned_of(document: str, overrides: dict[str, Any], text: str) -> None:
    assert findings(document, overrides) == [("REG212", "warning", text)]
    with pytest.warns(registry.RegistryWarning) as caught:
        registry.load_spec(document, overrides={"task.categories": None, **overrides})
    assert [str(warning.message).endswith(f": {text} [REG212]") for warning in caught] == [True]


@pytest.mark.parametrize(
    ("document", "overrides"),
    [
        (P3P5, {"head.rpn.pre_nms_top_n_train": 400, "head.rpn.post_nms_top_n_train": 1600}),
        (P3P5, {"head.rpn.pre_nms_top_n_test": 150, "head.rpn.post_nms_top_n_test": 600}),
        (P3P5, {"head.rpn.post_nms_top_n_test": 100, "head.num_classes": 2}),
        (P3P5, {"head.rpn.post_nms_top_n_test": 50, "head.num_classes": 4, "head.box.detections_per_image": 150}),
        (P3P5, {"head.rpn.positive_fraction": 0.004}),
        (P3P5, {"head.box.batch_size_per_image": 4}),
        (P3P5, {"head.rpn.score_threshold": 0.9, "head.box.score_threshold": 1.0}),
        (P3P5, {"head.box.batch_size_per_image": 4000}),  # fewer boxes than the sample may have are all looked at
        (P3P5, retinanet(candidates=50, detections_per_image=250)),
        (SSDLITE, {"head.candidates": 30, "head.num_classes": 11}),
    ],
)
def test_limits_that_can_be_reached_are_fine(document: str, overrides: dict[str, Any]) -> None:
    assert findings(document, overrides) == []


@pytest.mark.parametrize(
    ("size", "fraction", "objects"), [(256, 0.003, 0), (256, 0.004, 1), (3, 0.25, 0), (4, 0.25, 1)]
)
def test_torchvisions_sample_rounds_the_share_of_objects_down(size: int, fraction: float, objects: int) -> None:
    (chosen,), _ = BalancedPositiveNegativeSampler(size, fraction)([torch.ones(1000)])
    assert int(chosen.sum()) == objects


def test_a_limit_is_told_where_the_document_sets_one_of_the_two(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "kind: model\nname: mine\nextends: fasterrcnn_mnv3_large_320_fpn\nhead:\n  rpn: {pre_nms_top_n_test: 40}\n",
        encoding="utf-8",
    )
    (found,) = registry.default_registry().validate(file)  # 150 proposals are inherited, 3 levels yield 120
    assert (found.rule, found.span.file, found.span.line) == ("REG212", str(file), 5)


def test_findings_are_about_settings_of_the_head() -> None:
    spec = registry.load_spec(P3P5, overrides={"accepts": ["REG212"], "head.rpn.pre_nms_top_n_test": 150})
    (found,) = spec.head.check()
    assert isinstance(found, Finding)
    assert found.path == ("rpn", "post_nms_top_n_test")
    assert found.also == (("rpn", "pre_nms_top_n_test"),)
