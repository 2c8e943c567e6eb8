"""What a classifier learns from, and what is refused before anything is computed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import registry
from registry.errors import RegistryError
from registry.specs import RecipeSpec

SPEC = registry.load_spec("mobilenet_v3_small", num_classes=4)
LOGITS = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.0, 1.0, 3.0, -2.0]])
INPUTS = torch.zeros(2, 3, 8, 8)


class Smooth(RecipeSpec):
    type: Literal["smooth"] = "smooth"
    tasks: ClassVar[tuple[str, ...]] = ()
    label_smoothing: float = 0.1


def loss(targets: torch.Tensor, recipe: Any = None) -> torch.Tensor:
    task = registry.default_registry().task(SPEC)
    losses: dict[str, torch.Tensor] = task.losses(lambda inputs: LOGITS, INPUTS, targets, SPEC.head, recipe)  # type: ignore[arg-type]
    assert list(losses) == ["classification"]
    return losses["classification"]


def test_labels_give_the_mean_negative_log_probability() -> None:
    logs = LOGITS.double().log_softmax(1)
    assert loss(torch.tensor([0, 2])).double() == pytest.approx(float(-(logs[0, 0] + logs[1, 2]) / 2), rel=1e-6)


def test_a_recipe_smooths_the_labels() -> None:
    labels = torch.tensor([0, 2])
    smoothed = loss(labels, Smooth())
    assert torch.equal(smoothed, F.cross_entropy(LOGITS, labels, label_smoothing=0.1))
    assert not torch.equal(smoothed, loss(labels))


def test_probabilities_of_mixed_images_are_taken_too() -> None:
    mixed = torch.tensor([[0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    logs = LOGITS.double().log_softmax(1)
    expected = -(0.25 * logs[0, 0] + 0.75 * logs[0, 1] + logs[1, 2]) / 2
    assert loss(mixed).double() == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (torch.tensor([0, 4]), "the label 4 is none of 0 to 3"),
        (torch.tensor([-1, 2]), "the label -1 is none of 0 to 3"),
        (torch.tensor([0, 1, 2]), r"labels must be int64 \(2,\), one an image, and are torch.int64 \(3,\)"),
        (torch.tensor([0.0, 1.0]), r"are torch.float32 \(2,\)"),
        (torch.tensor([[0.5, 0.2, 0, 0], [1.0, 0, 0, 0]]), "have the sum 1"),
        (torch.tensor([[1.5, -0.5, 0, 0], [1.0, 0, 0, 0]]), "must be 0 or more"),
        (torch.zeros(2, 3), r"are torch.float32 \(2, 3\)"),
    ],
)
def test_other_targets_are_refused(targets: torch.Tensor, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        loss(targets)


def test_a_picture_becomes_an_input_at_the_size_it_has() -> None:
    spec = registry.load_spec("mobilenet_v3_small")
    task = registry.default_registry().task(spec)
    image = Image.new("RGB", (300, 200), (255, 0, 51))
    found = task.as_input(image)
    assert found.shape == (3, 200, 300)
    expected = torch.tensor([(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225])
    assert torch.allclose(found[:, 5, 7], expected, atol=1e-6)
    square = Image.effect_noise((224, 224), 64).convert("RGB")
    same = registry.load_spec("mobilenet_v3_small", overrides={"task.preprocessing.resize": None})
    assert torch.equal(registry.default_registry().task(same).preprocess(square), task.as_input(square))
