"""The head: its range, its sizes, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import registry

SMALL: dict[str, Any] = {"head.channels": 16, "figures": None}


def test_depths_lie_in_the_heads_range_and_a_logit_of_0_in_its_middle() -> None:
    model: Any = registry.build("depth_mnv3_small", overrides={"head.min_depth": 0.1, "head.max_depth": 10.0}).eval()
    images = torch.randn(1, 3, 64, 96)
    for bias, expected in ((0.0, 1.0), (100.0, 10.0), (-100.0, 0.1), (math.log(3), 0.1 * 100**0.75)):
        torch.nn.init.zeros_(model.decoder.logit.weight)
        torch.nn.init.constant_(model.decoder.logit.bias, bias)
        with torch.no_grad():
            depth = model(images)
        assert depth.shape == (1, 1, 64, 96)
        assert depth.unique().tolist() == pytest.approx([expected] * len(depth.unique()), rel=1e-5)


def test_the_least_and_the_largest_depth_are_those_of_the_settings() -> None:
    settings = {"head.min_depth": 2.0, "head.max_depth": 8.0, "task.min_depth": 2.0, "task.max_depth": 8.0}
    model: Any = registry.build("depth_mnv3_small", overrides=settings).eval()
    torch.nn.init.zeros_(model.decoder.logit.weight)
    for bias, expected in ((-100.0, 2.0), (0.0, 4.0), (100.0, 8.0)):  # 4 is the geometric mean of 2 and 8
        torch.nn.init.constant_(model.decoder.logit.bias, bias)
        with torch.no_grad():
            assert model(torch.zeros(1, 3, 32, 32)).mean().item() == pytest.approx(expected)


@pytest.mark.parametrize("size", [(97, 131), (33, 64), (32, 32)])
@pytest.mark.parametrize("stride", [2, 4, 32])
def test_depths_are_as_large_as_images_of_any_size(size: tuple[int, int], stride: int) -> None:
    model = registry.build("depth_mnv3_small", overrides={"head.stride": stride}).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("depth_mnv3_large", {}),
        ("depth_resnet18", {"head.stride": 2}),
        ("depth_mnv3_small", {"backbone.dilated": True}),
        ("depth_mnv3_small", {"backbone.width_mult": 0.5}),
        ("depth_mnv3_small", {"head.norm": "frozen_batch"}),
    ],
)
def test_the_head_stands_on_other_backbones_and_every_parameter_learns(name: str, settings: Any) -> None:
    model = registry.build(name, overrides=settings)
    model(torch.randn(2, 3, 64, 64)).log().square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([1], "images must be one tensor (N, C, H, W), not a list"),
        (torch.zeros(3, 8, 8), "images have the shape (3, 8, 8); it must be (N, C, H, W), none of them 0"),
        (torch.zeros(1, 1, 8, 8), "images have 1 channels and the model takes 3"),
        (
            torch.zeros(1, 3, 8, 8).byte(),
            "images are torch.uint8; give floats, normalised as task.preprocessing says",
        ),
        (
            torch.full((1, 3, 8, 8), 255.0),
            "images have values from 255 to 255; scale them to 0..1 and normalise them",
        ),
        (torch.full((1, 3, 8, 8), math.nan), "images hold values that are not finite"),
    ],
)
def test_bad_images_are_refused(images: Any, message: str) -> None:
    model = registry.build("depth_mnv3_small").eval()
    with pytest.raises(registry.RegistryError) as caught:
        model(images)
    assert str(caught.value) == message


def test_one_small_image_cannot_train_batch_normalisation() -> None:
    model = registry.build("depth_mnv3_small")
    with pytest.raises(registry.RegistryError) as caught:
        model(torch.zeros(1, 3, 32, 32))
    assert str(caught.value) == (
        "one image of 32x32 pixels leaves a last map of 1x1, which batch normalisation cannot train on; give two images "
        "or more, or sides of more than 32 pixels"
    )
    groups = {"head.norm": {"kind": "group"}, "backbone.norm": {"kind": "group"}}
    assert registry.build("depth_mnv3_small", overrides=groups)(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.slow
def test_the_whole_model_is_exported_for_any_size_of_batch() -> None:
    model = registry.build("depth_mnv3_small", overrides=SMALL).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (torch.zeros(2, 3, 64, 96),), dynamic_shapes=({0: batch},)).module()
    images = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(exported(images), model(images))


def test_a_checkpoint_gives_the_same_depths(tmp_path: Any) -> None:
    model = registry.build("depth_mnv3_small", overrides=SMALL).eval()
    again = registry.build(registry.save(model, tmp_path / "depth.safetensors")).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        # where tensors lie in memory differs after loading, and with it the order of some sums
        torch.testing.assert_close(again(images), model(images), rtol=1e-5, atol=1e-6)
