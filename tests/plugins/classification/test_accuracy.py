"""Accuracy by counting, examples made up for checks, and the form of a classifier's answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import registry
from registry.errors import RegistryError
from registry.tasks import Confusion

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
    with pytest.raises(RegistryError, match=f"{results} results and {targets} targets"):
        task().metric(SPEC).update(found, torch.zeros(targets, dtype=torch.int64))


def test_what_was_taken_for_what_equals_scikit_learns_matrix() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    spec = registry.load_spec("mobilenet_v3_small", num_classes=7)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 7, generator=generator)
    labels = torch.randint(6, (60,), generator=generator)
    metric = task(spec).metric(spec)
    metric.update(task(spec).postprocess(logits, [(1, 1)] * 60), labels)
    details = metric.details(task(spec).label)
    found = logits.argmax(1)
    occurring = sorted({*labels.tolist(), *found.tolist()})
    assert details.confusion is not None
    assert details.confusion.labels == tuple(f"class {index}" for index in occurring)
    expected = metrics.confusion_matrix(labels.numpy(), found.numpy(), labels=occurring)
    assert [list(row) for row in details.confusion.counts] == expected.tolist()
    precision, recall, _, images = metrics.precision_recall_fscore_support(
        labels.numpy(), found.numpy(), labels=occurring, zero_division=0
    )
    for place, index in enumerate(occurring):
        told = details.classes[f"class {index}"]
        assert told["images"] == images[place]
        assert told.get("precision", 0) == pytest.approx(precision[place])
        assert told.get("recall", 0) == pytest.approx(recall[place])
        assert ("recall" in told) == (images[place] > 0)  # a share of no image is no figure


def test_classes_of_one_name_are_told_apart() -> None:
    metric = task().metric(SPEC)
    logits = torch.zeros(2, 1000)
    logits[0, 134] = logits[1, 517] = 9
    metric.update(task().postprocess(logits, [(1, 1)] * 2), torch.tensor([134, 517]))  # ImageNet's two cranes
    assert list(metric.details(lambda index: "crane").classes) == ["crane (134)", "crane (517)"]


def test_the_most_frequent_mistakes_come_first() -> None:
    confusion = Confusion(("a", "b", "c"), ((9, 1, 0), (3, 5, 2), (0, 0, 1)))
    assert confusion.pairs(2) == [("b", "a", 3), ("b", "c", 2)]
    assert confusion.pairs(9) == [("b", "a", 3), ("b", "c", 2), ("a", "b", 1)]


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
