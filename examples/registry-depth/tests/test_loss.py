"""The loss, against sums written out, and the targets that it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import registry

IMAGES = torch.zeros(1, 3, 2, 2)


def lost(task: Any, model: Any, targets: torch.Tensor, images: torch.Tensor = IMAGES) -> torch.Tensor:
    losses = task.losses(model, images, targets, registry.load_spec("depth_mnv3_small").head)
    assert list(losses) == ["scale_invariant"]
    loss: torch.Tensor = losses["scale_invariant"]
    return loss


@pytest.mark.parametrize("focus", [0.0, 0.5, 0.85, 1.0])
def test_the_loss_is_equation_4(task_of: Any, fixed: Any, focus: float) -> None:
    said, true = [1.0, 2.0, 4.0, 3.0], [2.0, 2.0, 1.0, 5.0]
    model = fixed(torch.tensor(said).reshape(1, 1, 2, 2))
    apart = [math.log(a) - math.log(b) for a, b in zip(said, true, strict=True)]
    expected = sum(d * d for d in apart) / 4 - focus / 16 * sum(apart) ** 2
    loss = lost(task_of(variance_focus=focus), model, torch.tensor(true).reshape(1, 2, 2))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_only_known_depths_inside_the_range_count(task_of: Any, fixed: Any) -> None:
    """0 and NaN are unknown, 30 m lies beyond the 10 m of the task: one pixel of 3 m stays, whose loss is d^2 / 2."""
    model = fixed(torch.full((1, 1, 2, 2), 6.0))
    loss = lost(task_of(), model, torch.tensor([[[0.0, math.nan], [30.0, 3.0]]]))
    assert loss.item() == pytest.approx(math.log(2) ** 2 / 2)
    loss.backward()
    grad = model.depth.grad.flatten()
    assert grad[:3].tolist() == [0, 0, 0]
    assert grad[3].item() == pytest.approx(math.log(2) / 6)  # the derivative of (log y - log 3)^2 / 2 is d / y


def test_images_have_the_same_weight_and_those_without_depths_none(task_of: Any, fixed: Any) -> None:
    """Of three images the first is wrong by e in one known pixel, the second right in four, the third unknown."""
    model = fixed(torch.full((3, 1, 2, 2), math.e))
    targets = torch.zeros(3, 2, 2)
    targets[0, 0, 0] = 1
    targets[1] = math.e
    assert lost(task_of(variance_focus=0.0), model, targets, torch.zeros(3, 3, 2, 2)).item() == pytest.approx(0.5)


@pytest.mark.parametrize("unknown", [0.0, math.nan])
def test_a_batch_without_any_depth_gives_zero_and_a_finite_gradient(task_of: Any, fixed: Any, unknown: float) -> None:
    model = fixed(torch.full((1, 1, 2, 2), 2.0))
    loss = lost(task_of(), model, torch.full((1, 2, 2), unknown))
    assert loss.item() == 0
    loss.backward()
    assert model.depth.grad.tolist() == torch.zeros(1, 1, 2, 2).tolist()


def test_a_wrong_scale_costs_nothing_at_focus_1(task_of: Any, fixed: Any) -> None:
    targets = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    model = fixed(2 * targets[:, None])
    assert lost(task_of(variance_focus=1.0), model, targets).item() == pytest.approx(0, abs=1e-12)
    assert lost(task_of(variance_focus=0.0), model, targets).item() == pytest.approx(math.log(2) ** 2)


def test_depths_of_the_pictures_own_size_are_taken(task_of: Any, fixed: Any) -> None:
    """Pictures are resized before the model sees them, and their depths need not be."""
    model = fixed(torch.full((1, 1, 2, 2), 2.0))
    assert lost(task_of(variance_focus=0.0), model, torch.full((1, 6, 6), 2.0)).item() == pytest.approx(0, abs=1e-12)
    wide = fixed(torch.full((1, 1, 256, 341), 2.0))  # 480x640 with a shorter side of 256: 256 * 640 / 480 = 341.3
    assert lost(task_of(), wide, torch.full((1, 480, 640), 2.0), torch.zeros(1, 3, 256, 341)).item() < 1e-9


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([torch.ones(2, 2)], "depths must be one tensor (N, H, W), not a list"),
        (torch.ones(2, 2), "depths have the shape (2, 2); images of this size need (1, 2, 2)"),
        (torch.ones(1, 1, 2, 2), "depths have the shape (1, 1, 2, 2); images of this size need (1, 2, 2)"),
        (torch.ones(2, 2, 2), "there are 1 images and 2 maps of depths"),
        (
            torch.ones(1, 4, 8),
            "depths of 8x4 pixels are of other proportions than images of 2x2; crop or pad them alike",
        ),
        (torch.ones(1, 2, 2).int(), "depths are torch.int32; give floats in metres"),
        (torch.full((1, 2, 2), -1.0), "map 0 holds the depth -1; write 0 where no depth is known"),
        (torch.full((1, 2, 2), math.inf), "map 0 holds the depth inf; write 0 where no depth is known"),
        (
            torch.tensor([[[0.0, 500.0], [8000.0, 900.0]]]),
            "depths are from 500 to 8000 and those of 0.1 to 10 m count; give metres, or set task.min_depth and "
            "task.max_depth",
        ),
    ],
)
def test_bad_targets_are_refused(task_of: Any, fixed: Any, targets: Any, message: str) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        lost(task_of(), fixed(torch.ones(1, 1, 2, 2)), targets)
    assert str(caught.value) == message


def test_targets_of_one_size_are_stacked_and_others_refused(task_of: Any) -> None:
    stacked = task_of().collate_targets([torch.ones(2, 3).double(), torch.zeros(2, 3).double()])
    assert (stacked.shape, stacked.dtype) == ((2, 2, 3), torch.float32)
    with pytest.raises(registry.RegistryError) as caught:
        task_of().collate_targets([torch.ones(2, 3), torch.ones(3, 2)])
    assert str(caught.value) == "depths of different sizes cannot share a batch; crop or pad them with their pictures"
    with pytest.raises(registry.RegistryError) as caught:
        task_of().collate_targets([torch.ones(2, 3).long()])
    assert str(caught.value) == "depths are torch.int64; give floats in metres"
