"""The whole model: what goes in, what comes out, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import registry
from registry.errors import RegistryError

SMALL = {"head.image.min_size": 128, "head.image.max_size": 160, "head.score_threshold": 0.0}
MODELS = ("centernet_resnet18", "centernet_mnv3_large", "centernet_mnv3_small")


def _build(name: str = "centernet_mnv3_small", **more: Any) -> nn.Module:
    torch.manual_seed(0)
    return registry.build(name, num_classes=4, overrides={**SMALL, **more})


def _targets(*boxes: list[float]) -> dict[str, torch.Tensor]:
    return {"boxes": torch.tensor(boxes).view(-1, 4), "labels": torch.ones(len(boxes), dtype=torch.int64)}


@pytest.mark.parametrize("name", MODELS)
def test_images_of_different_sizes_give_boxes_in_their_own_pixels(name: str) -> None:
    model = _build(name).eval()
    nn.init.constant_(model.network.branches["size"].last.bias, 4.0)  # boxes of some area before any training
    sizes = [(100, 160), (240, 180), (64, 64)]
    with torch.inference_mode():
        results = model([torch.rand(3, *size) for size in sizes])
    assert len(results) == 3
    for (height, width), found in zip(sizes, results, strict=True):
        count = len(found["boxes"])
        assert 10 <= count <= 100
        assert (found["boxes"].shape, found["labels"].shape, found["scores"].shape) == ((count, 4), (count,), (count,))
        assert bool((found["boxes"][:, 2:] > found["boxes"][:, :2]).all())
        assert bool((found["boxes"] >= 0).all())
        assert bool((found["boxes"] <= torch.tensor([width, height] * 2) + 1e-3).all())
        assert set(found["labels"].tolist()) <= {1, 2, 3}
        assert bool((found["scores"].diff() <= 0).all())


@pytest.mark.parametrize("norm", ["batch", "frozen_batch", {"kind": "group", "groups": 8}])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_losses_and_gradients_in_training(norm: Any, upsampling: str) -> None:
    model = _build(**{"head.neck.norm": norm, "head.neck.upsampling": upsampling}).train()
    images = [torch.rand(3, 100, 160), torch.rand(3, 240, 180)]
    found = model(images, [_targets([10.0, 10.0, 50.0, 60.0]), _targets()])
    assert set(found) == {"loss_heatmap", "loss_size", "loss_offset"}
    torch.stack(list(found.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_a_batch_without_objects_trains() -> None:
    found = _build().train()([torch.rand(3, 128, 128)] * 2, [_targets(), _targets()])
    assert found["loss_size"].item() == found["loss_offset"].item() == 0
    torch.stack(list(found.values())).sum().backward()


def test_scores_before_training_are_the_prior() -> None:
    """Small last convolutions leave the bias: `prior` everywhere."""
    model = _build(**{"head.prior": 0.02}).eval()
    scores = model.fixed_forward(torch.randn(1, 3, 64, 64))["heatmap"].sigmoid()
    assert scores.mean().item() == pytest.approx(0.02, rel=0.5)


def test_an_object_that_the_network_sees_is_found_in_the_pixels_of_its_image() -> None:
    """The network is replaced by one that says: an object in the middle of a 128x128 map area, 64 pixels wide and high.

    The image of 64x64 pixels is enlarged to 128x128, so its box is of 32 pixels in the middle: 16 to 48.
    """

    class Sees(nn.Module):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            height, width = images.shape[-2] // 4, images.shape[-1] // 4
            maps = {"heatmap": torch.full((len(images), 3, height, width), -9.0)}
            maps |= {name: torch.zeros(len(images), 2, height, width) for name in ("size", "offset")}
            maps["heatmap"][:, 1, 16, 16], maps["size"][:, :, 16, 16] = 3.0, 16.0
            return maps

    model = _build(**{"head.score_threshold": 0.5}).eval()
    model.network = Sees()
    found = model([torch.rand(3, 64, 64)])[0]
    torch.testing.assert_close(found["boxes"], torch.tensor([[16.0, 16.0, 48.0, 48.0]]))
    assert found["labels"].tolist() == [2]


@pytest.mark.parametrize("name", MODELS)
def test_the_dense_part_can_be_exported(name: str) -> None:
    model = _build(name).eval()
    batch = torch.randn(2, 3, 96, 128)
    program = torch.export.export(model.network, (batch,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=16)},))
    more = torch.randn(3, 3, 96, 128)
    with torch.inference_mode():
        wanted, found = model.fixed_forward(more), program.module()(more)
    for key in ("heatmap", "size", "offset"):
        torch.testing.assert_close(found[key], wanted[key])


def test_levels_may_be_fewer_and_coarser() -> None:
    model = _build(**{"head.neck.levels": ["c2", "c3"]}).eval()
    found = model.fixed_forward(torch.randn(1, 3, 96, 100))
    assert found["heatmap"].shape == (1, 3, 12, 13)  # 96 / 8, and 100 / 8 rounded up
    assert "9" not in dict(model.network.body.named_children())  # what no level needs is cut off


def test_a_checkpoint_holds_the_model(tmp_path: Any) -> None:
    model = _build().eval()
    again = registry.build(registry.save(model, tmp_path / "centernet.safetensors")).eval()
    image = torch.rand(3, 128, 128)
    with torch.inference_mode():
        torch.testing.assert_close(again([image]), model([image]))


IMAGE = torch.zeros(3, 64, 64)


@pytest.mark.parametrize(
    ("images", "targets", "text"),
    [
        (torch.rand(2, 3, 64, 64), None, "images must be a list"),
        ([], None, "the batch is empty"),
        ([torch.rand(1, 64, 64)], None, "image 0 has 1 channels and the model takes 3"),
        ([torch.zeros(3, 64, 64, dtype=torch.uint8)], None, "give floats in 0 to 1"),
        ([torch.full((3, 64, 64), 200.0)], None, "values from 200 to 200"),
        ([torch.full((3, 64, 64), float("nan"))], None, "not finite"),
        ([torch.zeros(3, 2, 640)], None, "crop or pad it"),
        ([IMAGE], None, "training needs targets"),
        ([IMAGE], [], "1 images and 0 targets"),
        ([IMAGE], [[1]], "target 0 is a list"),
        ([IMAGE], [{"boxes": torch.zeros(0, 4)}], "has no tensor `labels`"),
        ([IMAGE], [{"boxes": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}], r"torch.zeros\(\(0, 4\)\)"),
        ([IMAGE], [{"boxes": torch.ones(1, 4), "labels": torch.ones(1)}], "they must be torch.int64"),
        ([IMAGE], [_targets([10.0, 10.0, 10.0, 20.0])], r"box 0 \(10, 10, 10, 20\) has no area"),
        ([IMAGE], [_targets([10.0, 10.0, 20.0, 90.0])], "lies outside of its image of 64x64 pixels"),
        ([IMAGE], [_targets([0.1, 0.1, 0.5, 0.5])], "multiply x by 64"),
        (
            [IMAGE],
            [{"boxes": torch.tensor([[1.0, 1.0, 9.0, 9.0]]), "labels": torch.tensor([0])}],
            "0 is the background",
        ),
        ([IMAGE], [{"boxes": torch.tensor([[1.0, 1.0, 9.0, 9.0]]), "labels": torch.tensor([4])}], "are 1 to 3"),
    ],
)
def test_what_is_refused_in_plain_words(images: Any, targets: Any, text: str) -> None:
    model = _build().train()
    with pytest.raises(RegistryError, match=text):
        model(images, targets)


def test_one_image_whose_last_map_is_a_point_cannot_train() -> None:
    model = _build(**{"head.image.min_size": 32, "head.image.max_size": 32}).train()
    target = _targets([1.0, 1.0, 20.0, 20.0])
    with pytest.raises(RegistryError, match="give two images or more"):
        model([torch.rand(3, 32, 32)], [target])
    assert len(model([torch.rand(3, 32, 32)] * 2, [target] * 2)) == 3


def test_parameters_by_arithmetic() -> None:
    """ResNet-18 without its classifier, four 1x1 and three 3x3 convolutions with norms, three branches."""
    backbone = 11_689_512 - 513_000
    neck = 64 * (64 + 128 + 256 + 512) + 4 * 2 * 64 + 3 * (9 * 64 * 64 + 2 * 64)
    branches = 3 * (9 * 64 * 64 + 64) + (64 * 90 + 90) + 2 * (64 * 2 + 2)
    model = registry.build("centernet_resnet18", device="meta")
    assert sum(p.numel() for p in model.parameters()) == backbone + neck + branches
