"""Accuracy by counting, examples made up for checks, and the form of a classifier's answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import registry
from registry.errors import RegistryError

SPEC = registry.load_spec("mobilenet_v3_small")


def task(spec: Any = SPEC) -> Any:
    return registry.default_registry().task(spec)


def test_accuracy_counts_the_likeliest_and_the_likeliest_five() -> None:
    logits = torch.zeros(4, 1000)
    logits[:, :6] = torch.tensor([6.0, 5, 4, 3, 2, 1])  # every picture: classes 0, 1, 2, 3, 4, 5 in that order
    metric = task().metric(SPEC)
    metric.update(task().postprocess(logits[:3], [(1, 1)] * 3), torch.tensor([0, 4, 5]))
    metric.update(task().postprocess(logits[3:], [(1, 1)]), torch.tensor([0]))
    assert metric.compute() == {"top1": 2 / 4, "top5": 3 / 4}


def test_five_of_three_classes_are_not_reported() -> None:
    spec = registry.load_spec("mobilenet_v3_small", num_classes=3)
    metric = task(spec).metric(spec)
    with pytest.raises(RegistryError, match="no image"):
        metric.compute()
    metric.update(task(spec).postprocess(torch.tensor([[0.0, 1, 0]]), [(1, 1)]), torch.tensor([1]))
    assert metric.compute() == {"top1": 1.0}


@pytest.mark.parametrize(("results", "targets"), [(1, 2), (2, 1)])
def test_as_many_results_as_labels_are_needed(results: int, targets: int) -> None:
    found = task().postprocess(torch.zeros(results, 1000), [(1, 1)] * results)
    with pytest.raises(ValueError, match="zip"):
        task().metric(SPEC).update(found, torch.zeros(targets, dtype=torch.int64))


def test_models_are_compared_by_the_likeliest_class() -> None:
    metric = task().metric(SPEC)
    logits = torch.zeros(1, 1000)
    logits[0, 999], logits[0, 0] = 2, 1
    metric.update(task().postprocess(logits, [(1, 1)]), torch.tensor([0]))
    assert (metric.headline, metric.higher_is_better) == ("top1", True)
    assert metric.compute() == {"top1": 0.0, "top5": 1.0}


def test_examples_train_and_are_the_same_for_the_same_generator() -> None:
    spec = registry.load_spec("mobilenet_v3_small", num_classes=7, in_channels=4)
    (inputs, labels), (again, same) = (
        task(spec).example(spec, 6, (32, 48), torch.Generator().manual_seed(5)) for _ in "ab"
    )
    assert inputs.shape == (6, 4, 32, 48)
    assert torch.equal(inputs, again)
    assert torch.equal(labels, same)
    assert set(labels.tolist()) <= set(range(7))
    assert task(spec).losses(registry.build(spec), inputs, labels, spec.head)["classification"].isfinite()


def test_labels_become_one_tensor() -> None:
    labels = task().collate_targets([3, 999])
    assert labels.tolist() == [3, 999]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"out": torch.zeros(2, 1000)}, "dict"),
        (torch.zeros(1, 1000), r"\(2, 1000\), one row an image, and this one torch.float32 \(1, 1000\)"),
        (torch.zeros(2, 1000, 1), r"\(2, 1000, 1\)"),
        (torch.zeros(2, 1000, dtype=torch.int64), "int64"),
    ],
)
def test_answers_of_another_form_are_refused(answer: Any, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        task().check_output(answer, SPEC, torch.zeros(2, 3, 8, 8))
    task().check_output(torch.zeros(2, 1000), SPEC, torch.zeros(2, 3, 8, 8))
