"""COCO's figures through the task, examples made up for checks, and the form of a detector's answers."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

import registry
from registry.errors import MissingExtraError, RegistryError

SPEC = registry.load_spec("fasterrcnn_mnv3_large_320_fpn", overrides={"task.score_threshold": 0.01})


def task() -> Any:
    return registry.default_registry().task(SPEC)


def output(boxes: list[list[float]], labels: list[int], scores: list[float]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores),
    }


TRUTH = {"boxes": torch.tensor([[0.0, 0, 40, 40], [60, 60, 90, 100]]), "labels": torch.tensor([1, 1])}


def figures(*images: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]) -> dict[str, float]:
    metric = task().metric(SPEC)
    for found, truth in images:
        metric.update(task().postprocess([found], [(128, 128)]), [truth])
    measured: dict[str, float] = metric.compute()
    return measured


def test_all_found_is_one_and_half_found_is_half_of_cocos_101_recalls() -> None:
    both = output(TRUTH["boxes"].tolist(), [1, 1], [0.9, 0.8])
    first = output([[0, 0, 40, 40]], [1], [0.9])
    assert figures((both, TRUTH))["ap50"] == pytest.approx(1.0)
    half = figures((first, TRUTH))
    assert half["ap50"] == half["ap"] == pytest.approx(51 / 101)  # precision 1 up to a recall of 0.5
    assert half["ar100"] == pytest.approx(0.5)


def test_sizes_are_told_apart_at_32_and_96_pixels() -> None:
    measured = figures((output([[0, 0, 40, 40]], [1], [0.9]), TRUTH))
    assert measured["ap_medium"] == pytest.approx(51 / 101)
    assert measured["ap_small"] == measured["ap_large"] == -1  # areas 1600 and 1200 both lie between 32² and 96²


def test_overlap_decides_which_thresholds_are_met() -> None:
    truth = {"boxes": torch.tensor([[0.0, 0, 100, 100]]), "labels": torch.tensor([3])}
    # 100x64 of 100x100 pixels: overlap 0.64, met by 0.5, 0.55 and 0.6 of the ten thresholds 0.5 to 0.95
    measured = figures((output([[0, 0, 100, 64]], [3], [0.7]), truth))
    assert measured["ap50"] == pytest.approx(1.0)
    assert measured["ap75"] == 0.0
    assert measured["ap"] == pytest.approx(0.3)


def test_a_crowd_is_neither_missed_nor_a_false_alarm() -> None:
    crowd = {**TRUTH, "iscrowd": torch.tensor([0, 1])}
    both = output([[0, 0, 40, 40], [62, 62, 88, 98]], [1, 1], [0.8, 0.9])
    assert figures((both, crowd))["ap50"] == pytest.approx(1.0)


def test_nothing_found_is_zero_and_no_truth_is_not_measured() -> None:
    nothing = output([], [], [])
    assert figures((nothing, TRUTH))["ap50"] == 0.0
    empty = {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}
    assert figures((nothing, empty))["ap"] == -1
    with pytest.raises(RegistryError, match="no image"):
        task().metric(SPEC).compute()


def one_truth(corners: list[float], label: int = 1) -> dict[str, torch.Tensor]:
    return {"boxes": torch.tensor([corners]), "labels": torch.tensor([label])}


def test_boxes_that_are_wider_than_high_are_compared_as_they_are() -> None:
    truth = one_truth([10.0, 20, 110, 60])
    # 100x31 of 100x40 pixels: overlap 0.775, met by the six thresholds 0.5 to 0.75
    assert figures((output([[10, 20, 110, 51]], [1], [0.9]), truth))["ap"] == pytest.approx(0.6)
    # 68x40 of 100x40 pixels, at the right end: overlap 0.68, met by 0.5, 0.55, 0.6 and 0.65
    assert figures((output([[42, 20, 110, 60]], [1], [0.9]), truth))["ap"] == pytest.approx(0.4)
    turned = figures((output([[20, 10, 60, 110]], [1], [0.9]), truth))
    assert turned["ap50"] == 0.0  # 40x40 in both of 6400: overlap 0.25


def test_a_wrong_box_costs_precision_only_where_its_score_is_higher() -> None:
    truth = one_truth([0.0, 0, 40, 40])
    boxes = [[80, 80, 120, 120], [0, 0, 40, 40]]
    assert figures((output(boxes, [1, 1], [0.9, 0.8]), truth))["ap50"] == pytest.approx(1 / 2)
    assert figures((output(boxes, [1, 1], [0.7, 0.8]), truth))["ap50"] == pytest.approx(1.0)


def test_scores_are_compared_over_all_images() -> None:
    nothing = {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}
    truth = one_truth([0.0, 0, 40, 40])
    for wrong, right, expected in ((0.3, 0.9, 1.0), (0.9, 0.3, 1 / 2)):
        first, second = (output([[0, 0, 40, 40]], [1], [score]) for score in (wrong, right))
        assert figures((first, nothing), (second, truth))["ap50"] == pytest.approx(expected)


def test_the_last_class_counts_and_another_class_is_no_match() -> None:
    last = SPEC.head.num_classes - 1
    truth = one_truth([0.0, 0, 40, 40], last)
    assert figures((output([[0, 0, 40, 40]], [last], [0.9]), truth))["ap"] == pytest.approx(1.0)
    assert figures((output([[0, 0, 40, 40]], [last - 1], [0.9]), truth))["ap"] == 0.0


def test_a_crowd_that_nobody_found_is_not_missed() -> None:
    first = output([[0, 0, 40, 40]], [1], [0.9])
    assert figures((first, {**TRUTH, "iscrowd": torch.tensor([0, 1])}))["ap50"] == pytest.approx(1.0)
    assert figures((first, {**TRUTH, "iscrowd": torch.tensor([0, 0])}))["ap50"] == pytest.approx(51 / 101)


def test_small_boxes_inside_a_crowd_are_no_false_alarms() -> None:
    boxes = [[60, 60, 70, 70], [75, 75, 85, 85], [0, 0, 40, 40]]
    found = output(boxes, [1, 1, 1], [0.9, 0.8, 0.7])
    assert figures((found, {**TRUTH, "iscrowd": torch.tensor([0, 1])}))["ap50"] == pytest.approx(1.0)


def test_the_area_that_the_truth_gives_decides_the_size_not_the_box() -> None:
    found = output([[0, 0, 40, 40]], [1], [0.9])
    truth = one_truth([0.0, 0, 40, 40])
    assert figures((found, truth))["ap_medium"] == pytest.approx(1.0)
    given = figures((found, {**truth, "area": torch.tensor([500.0])}))  # below 32² = 1024
    assert (given["ap_small"], given["ar_small"]) == pytest.approx((1.0, 1.0))
    assert given["ap_medium"] == -1


def test_figures_are_under_their_own_names() -> None:
    truth = {"boxes": torch.tensor([[0.0, 0, 20, 20], [60, 60, 100, 100]]), "labels": torch.tensor([1, 1])}
    both = figures((output(truth["boxes"].tolist(), [1, 1], [0.9, 0.8]), truth))
    assert both["ar1"] == pytest.approx(1 / 2)  # one box an image finds one of two objects
    assert (both["ar10"], both["ar100"]) == pytest.approx((1.0, 1.0))
    medium = figures((output([[60, 60, 100, 100]], [1], [0.9]), truth))
    assert (medium["ap_small"], medium["ar_small"]) == (0.0, 0.0)
    assert (medium["ap_medium"], medium["ar_medium"]) == pytest.approx((1.0, 1.0))
    assert medium["ap_large"] == medium["ar_large"] == -1
    metric = task().metric(SPEC)
    assert (metric.headline, metric.higher_is_better) == ("ap", True)


def test_measuring_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    figures((output([[0, 0, 40, 40]], [1], [0.9]), TRUTH))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("results", "targets"), [(1, 2), (2, 1)])
def test_as_many_results_as_targets_are_needed(results: int, targets: int) -> None:
    found = task().postprocess([output([[0, 0, 40, 40]], [1], [0.9])] * results, [(128, 128)] * results)
    with pytest.raises(RegistryError, match=f"{results} results and {targets} targets"):
        task().metric(SPEC).update(found, [TRUTH] * targets)


@pytest.mark.parametrize(("key", "values"), [("iscrowd", [0]), ("area", [1600.0])])
def test_what_the_truth_says_of_its_boxes_it_says_of_each(key: str, values: list[float]) -> None:
    found = task().postprocess([output([], [], [])], [(128, 128)])
    with pytest.raises(RegistryError, match=f"2 boxes and 1 values of `{key}`"):
        task().metric(SPEC).update(found, [{**TRUTH, key: torch.tensor(values)}])


def test_without_pycocotools_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingExtraError, match=r"vision-registry\[coco\]"):
        task().metric(SPEC)


def test_examples_train_and_are_the_same_for_the_same_generator() -> None:
    inputs, targets = task().example(SPEC, 2, (64, 96), torch.Generator().manual_seed(3))
    again, same = task().example(SPEC, 2, (64, 96), torch.Generator().manual_seed(3))
    assert [tuple(image.shape) for image in inputs] == [(3, 64, 96)] * 2
    assert all(torch.equal(a, b) for a, b in zip(inputs, again, strict=True))
    assert [t["labels"].tolist() for t in targets] == [t["labels"].tolist() for t in same]
    torch.manual_seed(0)
    losses = task().losses(registry.build(SPEC), inputs, targets, SPEC.head)
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([], "0 results"),
        (torch.zeros(1), "a Tensor"),
        ([{"boxes": torch.zeros(2, 4), "labels": torch.zeros(2)}], "no tensor `scores`"),
        ([output([[0, 0, 1, 1]], [1, 2], [0.5])], r"labels torch.int64 \(2,\)"),
        ([{**output([[0, 0, 1, 1]], [1], [0.5]), "labels": torch.zeros(1)}], "labels torch.float32"),
    ],
)
def test_answers_of_another_form_are_refused(answer: Any, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        task().check_output(answer, SPEC, [torch.zeros(3, 32, 32)])


def test_answers_of_the_right_form_pass() -> None:
    task().check_output([output([[0, 0, 1, 1]], [1], [0.5])], SPEC, [torch.zeros(3, 32, 32)])
