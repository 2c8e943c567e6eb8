"""Overlap of masks by arithmetic, examples made up for checks, and the form of a segmentation model's answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import registry
from registry.errors import RegistryError

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = registry.load_spec("lraspp_mnv3_large")


def task() -> Any:
    return registry.default_registry().task(SPEC)


def result(mask: list[list[int]]) -> Any:
    """What the task reads from logits that say so."""
    ids = torch.tensor(mask)
    logits = torch.nn.functional.one_hot(ids, 21).permute(2, 0, 1)[None].float() * 10
    return task().postprocess({"out": logits}, [tuple(ids.shape)])[0]


def test_overlap_is_right_pixels_over_all_that_are_or_were_called_so() -> None:
    metric = task().metric(SPEC)
    metric.update([result([[0, 0, 15, 15]])], torch.tensor([[[0, 15, 15, 255]]]))
    metric.update([result([[0, 7]])], torch.tensor([[[0, 0]]]))
    # background: 2 right, 3 found, 3 true; person (15): 1 right, 1 found, 2 true; class 7: found once, never true
    names = task().label
    assert metric.compute() == pytest.approx(
        {
            "miou": (2 / 4 + 1 / 2 + 0) / 3,
            "pixel_accuracy": 3 / 5,
            f"iou/{names(0)}": 2 / 4,
            f"iou/{names(7)}": 0,
            f"iou/{names(15)}": 1 / 2,
        }
    )


def test_overlap_equals_torchvisions_confusion_matrix_where_every_class_occurs() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(21, (2, 40, 50), generator=generator)
    found = torch.where(torch.rand(truth.shape, generator=generator) < 0.6, truth, 20 - truth)
    metric = task().metric(SPEC)
    metric.update([result(mask.tolist()) for mask in found], truth)
    # torchvision/references/segmentation/utils.py: ConfusionMatrix.update and .compute
    inside = (truth >= 0) & (truth < 21)
    matrix = torch.bincount(21 * truth[inside] + found[inside], minlength=21**2).reshape(21, 21).float()
    overlaps = matrix.diag() / (matrix.sum(1) + matrix.sum(0) - matrix.diag())
    measured = metric.compute()
    assert measured["miou"] == pytest.approx(float(overlaps.mean()), abs=1e-6)
    assert measured["pixel_accuracy"] == pytest.approx(float(matrix.diag().sum() / matrix.sum()), abs=1e-6)


def test_what_cannot_be_measured_is_told() -> None:
    metric = task().metric(SPEC)
    with pytest.raises(RegistryError, match="no pixel"):
        metric.compute()
    metric.update([result([[0, 0]])], torch.tensor([[[255, 255]]]))
    with pytest.raises(RegistryError, match="no pixel"):
        metric.compute()
    with pytest.raises(RegistryError, match="differ in size"):
        metric.update([result([[0, 0]])], torch.tensor([[[0]]]))


def test_a_mask_of_transposed_shape_is_refused() -> None:
    metric = task().metric(SPEC)
    with pytest.raises(RegistryError, match=r"differ in size, \(2, 3\) and \(3, 2\)"):
        metric.update([result([[0, 0, 0], [0, 0, 0]])], torch.zeros((1, 3, 2), dtype=torch.int64))


@pytest.mark.parametrize(("results", "targets"), [(1, 2), (2, 1)])
def test_as_many_masks_as_truths_are_needed(results: int, targets: int) -> None:
    with pytest.raises(RegistryError, match=f"{results} results and {targets} targets"):
        task().metric(SPEC).update([result([[0, 0]])] * results, torch.zeros((targets, 1, 2), dtype=torch.int64))


def test_a_class_beyond_the_models_is_refused() -> None:
    with pytest.raises(RegistryError, match="a mask holds the class 21, and the model tells 21 apart"):
        task().metric(SPEC).update([result([[0, 0]])], torch.tensor([[[0, 21]]]))


def test_classes_have_their_own_figures_and_pixels_are_told_by_what_they_were_taken_for() -> None:
    metric = task().metric(SPEC)
    metric.update([result([[0, 0, 15, 15], [0, 0, 7, 0]])], torch.tensor([[[0, 15, 15, 255], [0, 0, 0, 0]]]))
    background, bird, person = (task().label(index) for index in (0, 7, 15))
    details = metric.details(task().label)
    # background: 4 right, 5 found, 5 true; class 7: found once, never true; person: 1 right, 1 found, 2 true
    assert details.classes == {
        background: {"iou": 4 / 6, "recall": 4 / 5, "pixels": 5},
        bird: {"iou": 0, "pixels": 0},
        person: {"iou": 1 / 2, "recall": 1 / 2, "pixels": 2},
    }
    assert details.confusion is not None
    assert details.confusion.labels == (background, bird, person)
    assert details.confusion.counts == ((4, 1, 0), (0, 0, 0), (1, 0, 1))


def test_models_are_compared_by_the_mean_overlap() -> None:
    metric = task().metric(SPEC)
    metric.update([result([[0, 0, 0, 0]])], torch.tensor([[[0, 0, 0, 20]]]))
    assert (metric.headline, metric.higher_is_better) == ("miou", True)
    # background: 3 right of 4 found, 3 true; the last class never found: mean of 3/4 and 0
    assert metric.compute()[metric.headline] == pytest.approx(3 / 8)


def test_examples_train_every_output() -> None:
    spec = registry.load_spec("deeplabv3_mnv3_large", num_classes=5)
    inputs, targets = task().example(spec, 2, (64, 80), torch.Generator().manual_seed(1))
    assert inputs.shape == (2, 3, 64, 80)
    assert targets.shape == (2, 64, 80)
    assert targets.dtype == torch.int64
    assert {int(value) for value in targets.unique()} <= set(range(5))
    assert len(targets[0].unique()) == 4
    losses = task().losses(registry.build(spec), inputs, targets, spec.head)
    assert set(losses) == {"out", "aux"}
    assert all(loss.isfinite() for loss in losses.values())


def test_masks_of_one_size_are_stacked_and_others_refused() -> None:
    masks = [torch.zeros(2, 3, dtype=torch.uint8), torch.ones(2, 3, dtype=torch.uint8)]
    assert task().collate_targets(masks).tolist() == [[[0] * 3] * 2, [[1] * 3] * 2]
    assert task().collate_targets(masks).dtype == torch.int64
    with pytest.raises(RegistryError, match="different sizes"):
        task().collate_targets([*masks, torch.zeros(3, 3)])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (torch.zeros(1, 21, 4, 4), "mapping with `out`, and this one Tensor"),
        ({"aux": torch.zeros(1, 21, 4, 4)}, "mapping with `out`"),
        ({"out": torch.zeros(1, 21, 2, 2)}, r"\(1, 21, 4, 4\)"),
        ({"out": torch.zeros(1, 21, 4, 4), "aux": torch.zeros(1, 20, 4, 4)}, "`aux`"),
        ({"out": torch.zeros(1, 21, 4, 4, dtype=torch.int64)}, "int64"),
    ],
)
def test_answers_of_another_form_are_refused(answer: Any, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        task().check_output(answer, SPEC, torch.zeros(1, 3, 4, 4))
    task().check_output({"out": torch.zeros(1, 21, 4, 4)}, SPEC, torch.zeros(1, 3, 4, 4))
