"""Training pictures of classification: each named policy is torchvision's own, in the order of its reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from registry_recipes.augment import after_input, augmentation
from registry_recipes.specs import TrainingSpec
from torchvision.transforms import InterpolationMode, v2

from registry.errors import RegistryError

Make = Callable[..., TrainingSpec]
BILINEAR = InterpolationMode.BILINEAR


def picture(height: int = 40, width: int = 60) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def applied(change: Callable[..., Any], seed: int, *arguments: Any) -> Any:
    torch.manual_seed(seed)
    return change(*arguments)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


POLICIES: list[tuple[object, Callable[[], v2.Transform]]] = [
    ("autoaugment", lambda: v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET, interpolation=BILINEAR)),
    (
        {"kind": "autoaugment", "dataset": "cifar10"},
        lambda: v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, interpolation=BILINEAR),
    ),
    (
        {"kind": "autoaugment", "dataset": "svhn"},
        lambda: v2.AutoAugment(v2.AutoAugmentPolicy.SVHN, interpolation=BILINEAR),
    ),
    ("randaugment", lambda: v2.RandAugment(2, 9, interpolation=BILINEAR)),
    (
        {"kind": "randaugment", "operations": 3, "magnitude": 14},
        lambda: v2.RandAugment(3, 14, interpolation=BILINEAR),
    ),
    ("trivialaugment", lambda: v2.TrivialAugmentWide(interpolation=BILINEAR)),
    ("augmix", lambda: v2.AugMix(severity=3, interpolation=BILINEAR)),
    (
        {"kind": "augmix", "severity": 7, "width": 2},
        lambda: v2.AugMix(severity=7, mixture_width=2, interpolation=BILINEAR),
    ),
    (None, v2.Identity),
]


@pytest.mark.parametrize(("policy", "theirs"), POLICIES)
def test_crop_flip_and_policy_are_torchvisions(
    recipe: Make, policy: object, theirs: Callable[[], v2.Transform]
) -> None:
    ours = augmentation(recipe(augmentation={"kind": "classification", "policy": policy}), "classification", 32)
    reference = v2.Compose([v2.RandomResizedCrop(32, antialias=True), v2.RandomHorizontalFlip(0.5), theirs()])
    for seed in range(25):
        changed, label = applied(ours, seed, picture(), 7)
        assert label == 7
        assert same(changed, applied(reference, seed, picture()))


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"scale": [0.5, 0.6]}, v2.RandomResizedCrop(32, scale=(0.5, 0.6), antialias=True)),
        ({"ratio": [2.0, 3.0]}, v2.RandomResizedCrop(32, ratio=(2.0, 3.0), antialias=True)),
        ({"size": 20}, v2.RandomResizedCrop(20, antialias=True)),
        (
            {"interpolation": "bicubic"},
            v2.RandomResizedCrop(32, interpolation=InterpolationMode.BICUBIC, antialias=True),
        ),
        (
            {"flip": 1.0},
            v2.Compose([v2.RandomResizedCrop(32, antialias=True), v2.RandomHorizontalFlip(1.0)]),
        ),
    ],
)
def test_settings_reach_torchvisions_transforms(
    recipe: Make, settings: dict[str, Any], reference: v2.Transform
) -> None:
    ours = augmentation(
        recipe(augmentation={"kind": "classification", "flip": 0.0, **settings}), "classification", (32, 32)
    )
    for seed in range(5):
        assert same(applied(ours, seed, picture(), 0)[0], applied(reference, seed, picture()))


def test_a_seed_gives_the_same_picture_and_another_seed_another(recipe: Make) -> None:
    ours = augmentation(recipe(augmentation={"kind": "classification", "policy": "randaugment"}), "classification", 32)
    assert same(applied(ours, 1, picture(), 0)[0], applied(ours, 1, picture(), 0)[0])
    assert not same(applied(ours, 1, picture(), 0)[0], applied(ours, 2, picture(), 0)[0])


def test_erasing_comes_after_normalisation_and_is_torchvisions(recipe: Make) -> None:
    ours = after_input(recipe(augmentation={"kind": "classification", "erasing": 0.5}), "classification")
    assert ours is not None
    image = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    changed = 0
    for seed in range(40):
        erased = applied(ours, seed, image.clone())
        assert torch.equal(erased, applied(v2.RandomErasing(p=0.5), seed, image.clone()))
        changed += not torch.equal(erased, image)
    assert 10 < changed < 30


@pytest.mark.parametrize("augmentation_settings", [None, {"kind": "classification"}, {"kind": "detection"}])
def test_nothing_is_erased_without_a_probability(recipe: Make, augmentation_settings: dict[str, Any] | None) -> None:
    assert after_input(recipe(augmentation=augmentation_settings), "classification") is None


def test_without_augmentation_pictures_are_cropped_in_the_middle(recipe: Make) -> None:
    changed, label = augmentation(recipe(), "classification", 20)(picture(40, 60), 3)
    expected = v2.CenterCrop(20)(v2.Resize(20, antialias=True)(picture(40, 60)))
    assert label == 3
    assert same(changed, expected)


@pytest.mark.parametrize(("task", "size"), [("detection", 32), ("depth", 32), ("classification", None)])
def test_without_augmentation_or_size_others_are_left_alone(recipe: Make, task: str, size: int | None) -> None:
    target = object()
    changed, kept = augmentation(recipe(), task, size)(picture(), target)
    assert same(changed, picture())
    assert kept is target


def test_an_augmentation_for_another_task_is_refused(recipe: Make) -> None:
    with pytest.raises(RegistryError, match="augments for `detection` and the task is `classification`"):
        augmentation(recipe(augmentation={"kind": "detection"}), "classification", 32)


@pytest.mark.parametrize(("task", "key"), [("classification", "size"), ("segmentation", "crop")])
def test_a_size_is_needed(recipe: Make, task: str, key: str) -> None:
    with pytest.raises(RegistryError, match=f"write recipe.augmentation.{key}, in pixels"):
        augmentation(recipe(augmentation={"kind": task}), task, None)
