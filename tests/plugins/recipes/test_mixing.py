"""Mixup and cutmix: shares of pixels and of labels are the same, and sum to one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from registry_recipes.mixing import batch_mixing
from registry_recipes.specs import TrainingSpec
from torchvision.transforms import v2

from registry.errors import RegistryError

Make = Callable[..., TrainingSpec]
COUNT = 6


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Images that are flat: image k has the value k everywhere and the label k."""
    labels = torch.arange(COUNT)
    return labels.float()[:, None, None, None].expand(COUNT, 3, 16, 16).contiguous(), labels


def test_nothing_is_mixed_by_default(recipe: Make) -> None:
    assert batch_mixing(recipe(), COUNT) is None


@pytest.mark.parametrize(
    "settings", [{"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}]
)
def test_labels_sum_to_one_and_tell_how_much_of_each_image_is_there(recipe: Make, settings: dict[str, float]) -> None:
    mix = batch_mixing(recipe(**settings), COUNT)
    assert mix is not None
    shares = set()
    for seed in range(30):
        torch.manual_seed(seed)
        images, soft = mix(*batch())
        assert soft.shape == (COUNT, COUNT)
        assert soft.dtype == torch.float32
        assert soft.sum(dim=1).tolist() == pytest.approx([1.0] * COUNT, abs=1e-6)
        assert images.mean(dim=(1, 2, 3)).tolist() == pytest.approx(
            (soft @ torch.arange(COUNT).float()).tolist(), abs=1e-4
        )
        shares.add(round(float(soft[1, 1]), 3))
    assert len(shares) > 5


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"mixup_alpha": 0.2}, v2.MixUp(alpha=0.2, num_classes=COUNT)),
        ({"cutmix_alpha": 1.0}, v2.CutMix(alpha=1.0, num_classes=COUNT)),
    ],
)
def test_each_is_torchvisions_own(recipe: Make, settings: dict[str, float], reference: v2.Transform) -> None:
    mix = batch_mixing(recipe(**settings), COUNT)
    assert mix is not None
    for seed in range(5):
        torch.manual_seed(seed)
        ours = mix(*batch())
        torch.manual_seed(seed)
        theirs = reference(*batch())
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_with_both_each_batch_is_mixed_in_one_of_the_two_ways(recipe: Make) -> None:
    """Mixup leaves flat images flat, cutmix does not."""
    mix = batch_mixing(recipe(mixup_alpha=1.0, cutmix_alpha=1.0), COUNT)
    assert mix is not None
    flat = 0
    for seed in range(60):
        torch.manual_seed(seed)
        images, _ = mix(*batch())
        flat += bool((images[1] == images[1, 0, 0, 0]).all())
    assert 15 < flat < 45


def test_images_and_labels_that_were_given_stay(recipe: Make) -> None:
    mix = batch_mixing(recipe(mixup_alpha=1.0), COUNT)
    assert mix is not None
    images, labels = batch()
    mix(images, labels)
    assert torch.equal(images, batch()[0])
    assert torch.equal(labels, batch()[1])


@pytest.mark.parametrize("labels", [torch.zeros((2, 4, 4), dtype=torch.int64), torch.zeros(2), [{"boxes": 1}]])
def test_targets_without_one_label_each_are_refused(recipe: Make, labels: object) -> None:
    mix = batch_mixing(recipe(mixup_alpha=1.0), 3)
    assert mix is not None
    with pytest.raises(RegistryError, match="one label each; write 0 for both alphas"):
        mix(torch.zeros(2, 3, 4, 4), labels)  # type: ignore[arg-type]
