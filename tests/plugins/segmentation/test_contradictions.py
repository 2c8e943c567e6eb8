"""Settings of segmenters that are valid alone and useless together: classes, ignored ids, bounds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_segmentation.specs import LRASPPSpec
from torch.nn import functional as F

import registry
from registry.specs import Finding, ModelSpec, TaskSpec

NAMES = ("lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large")
#: Pictures of a multiple of every stride, of which nothing is said.
WHOLE_STEPS: dict[str, Any] = {"task.preprocessing.resize": 512}
each = pytest.mark.parametrize("name", NAMES)


def findings(name: str, overrides: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rule, severity and text of what is wrong, warnings included."""
    settings = {"accepts": ["REG213"], "task.categories": None, **WHOLE_STEPS, **overrides}
    try:
        spec = registry.load_spec(name, overrides=settings)
    except registry.SpecError as error:
        return [(d.rule, d.severity, d.text) for d in error.diagnostics]
    return [(f.rule, f.severity, f"{f.message}; {f.suggestion}") for f in spec.check()]


# ---- one class -------------------------------------------------------------------------------------------------------


@each
def test_one_class_is_nothing_to_learn(name: str) -> None:
    text = "every pixel is of the only class there is, so nothing can be learned; write at least 2: class 0 is the background"
    assert findings(name, {"head.num_classes": 1}) == [("REG204", "error", text)]
    assert findings(name, {"head.num_classes": 2}) == []


def test_the_loss_of_one_class_is_zero_whatever_the_model_says() -> None:
    logits = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = F.cross_entropy(logits, torch.zeros(2, 3, 3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0


# ---- ignored ids -----------------------------------------------------------------------------------------------------


def warning(index: int, classes: int, free: int) -> tuple[str, str, str]:
    text = f"`ignore_index` {index} is a class, 0 to {classes - 1}, whose pixels never count, so it is never learned"
    return ("REG213", "warning", f"{text}; write an id that is no class, such as {free}")


@each
@pytest.mark.parametrize(
    ("index", "classes", "free"),
    [(0, 21, 255), (20, 21, 255), (21, 21, None), (255, 21, None), (-1, 21, None), (255, 255, None), (255, 256, -1)],
)
def test_an_ignored_class_is_warned_of(name: str, index: int, classes: int, free: int | None) -> None:
    found = findings(name, {"task.ignore_index": index, "head.num_classes": classes})
    assert found == ([] if free is None else [warning(index, classes, free)])


def test_pixels_of_the_ignored_id_teach_nothing() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    F.cross_entropy(logits, torch.tensor([[[0, 1], [2, 1]]]), ignore_index=1).backward()
    assert logits.grad is not None
    counts = logits.grad.abs().sum(1)[0] > 0
    assert counts.tolist() == [[True, False], [True, False]]


def test_the_warning_comes_with_loading_and_can_be_accepted() -> None:
    with pytest.warns(registry.RegistryWarning, match="REG213"):
        registry.load_spec(NAMES[0], overrides={"task.ignore_index": 3})
    registry.load_spec(NAMES[0], overrides={"task.ignore_index": 3, "accepts": ["REG213"]})


@pytest.mark.parametrize(
    ("settings", "line", "column"),
    [
        ("task: {ignore_index: 5}\n", 4, 22),
        ("task: {categories: null}\nhead: {num_classes: 300}\n", 5, 21),  # 255 is the default
    ],
)
def test_it_is_told_at_what_the_document_sets(settings: str, line: int, column: int, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(f"kind: model\nname: mine\nextends: {NAMES[0]}\n{settings}", encoding="utf-8")
    (found,) = registry.default_registry().validate(file)
    assert (found.rule, found.span.file, found.span.line, found.span.column) == ("REG213", str(file), line, column)


# ---- what the model asks the head -------------------------------------------------------------------------------------


class Asked(LRASPPSpec):
    """A head that finds fault with every task."""

    def check_task(self, task: TaskSpec) -> Iterable[Finding]:
        """Tells the task's type."""
        yield Finding("REG201", ("task",), task.type)


def rules(**settings: Any) -> list[tuple[str, tuple[str | int, ...]]]:
    spec = registry.load_spec(NAMES[0], overrides=WHOLE_STEPS)
    parts = {"task": spec.task, "backbone": spec.backbone, "head": Asked(num_classes=3), **settings}
    return [(found.rule, found.path) for found in ModelSpec(name="mine", **parts).check()]


def test_a_head_is_asked_about_the_task_it_serves() -> None:
    assert rules() == [("REG201", ("task",))]


def test_a_head_is_not_asked_about_another_task() -> None:
    other = registry.load_spec("mobilenet_v3_small").task
    assert rules(task=other) == [("REG203", ("head", "type"))]


def test_a_head_is_not_asked_while_a_part_contradicts_itself() -> None:
    assert rules(head=Asked(num_classes=1)) == [("REG204", ("head", "num_classes"))]


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("std", [1e-300, 0.5, 0.5]),
        ("std", [0.5, 0.0, 0.5]),
        ("std", [0.5, 0.5, -0.5]),
        ("std", [1e7, 0.5, 0.5]),
        ("mean", [0.5, 1e308, 0.5]),
        ("mean", [0.5, 0.5, -1.1e6]),
    ],
)
def test_numbers_of_no_use_are_out_of_range(setting: str, value: list[float]) -> None:
    for name in (NAMES[0], "mobilenet_v3_small"):
        with pytest.raises(registry.SpecError) as caught:
            registry.load_spec(name, overrides={f"task.preprocessing.{setting}": value})
        assert [d.rule for d in caught.value.diagnostics] == ["REG104"]


def test_the_bounds_themselves_are_fine() -> None:
    preprocessing = {"mean": [-1e6, 1e6, 0], "std": [1e-6, 1e6, 255.0]}
    assert findings(NAMES[0], {"task.preprocessing": preprocessing}) == []
