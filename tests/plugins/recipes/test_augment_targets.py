"""Boxes and masks change as their pictures do: each object is found where its pixels went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from registry_recipes.augment import augmentation
from registry_recipes.specs import TrainingSpec
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

Make = Callable[..., TrainingSpec]
#: Corners of three objects, whose colours are pure red, green and blue on black.
BOXES = [[4, 6, 24, 30], [40, 10, 60, 36], [20, 34, 36, 46]]


def scene() -> tuple[Image.Image, dict[str, Any]]:
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(BOXES):
        pixels[y1:y2, x1:x2, channel] = 255
    boxes = torch.tensor(BOXES, dtype=torch.float32)
    target = {
        "boxes": boxes,
        "labels": torch.tensor([1, 2, 3]),
        "iscrowd": torch.tensor([0, 0, 1]),
        "area": (boxes[:, 2:] - boxes[:, :2]).prod(dim=1),
        "image_id": 17,
    }
    return Image.fromarray(pixels), target


def changed_scene(change: Callable[..., Any], seed: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    image, target = scene()
    torch.manual_seed(seed)
    image, target = change(image, target)
    return np.asarray(image), target


GEOMETRIES: dict[str, dict[str, Any]] = {
    "flip": {"flip": 1.0},
    "iou_crop": {"flip": 0.0, "iou_crop": True},
    "zoom_out": {"flip": 0.0, "zoom_out": {"probability": 1.0, "fill": [0, 0, 0]}},
    "scale_jitter": {"flip": 0.0, "scale_jitter": {"size": 50, "scale": [0.5, 2.0], "fill": [0, 0, 0]}},
    "all": {
        "flip": 0.5,
        "iou_crop": True,
        "zoom_out": {"probability": 0.5, "fill": [0, 0, 0]},
        "scale_jitter": {"size": 50, "fill": [0, 0, 0]},
    },
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_boxes_follow_their_objects(recipe: Make, name: str) -> None:
    """The box of each label that is left surrounds that label's colour, to a pixel of rounding, wherever it went."""
    change = augmentation(recipe(augmentation={"kind": "detection", **GEOMETRIES[name]}), "detection", None)
    sizes = set()
    for seed in range(40):
        pixels, target = changed_scene(change, seed)
        sizes.add(pixels.shape)
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            ys, xs = np.nonzero(pixels[:, :, label - 1] > 127)
            if not len(xs):  # so small that the colour is lost in its surroundings
                assert min(box[2] - box[0], box[3] - box[1]) < 3
                continue
            found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert box == pytest.approx(found, abs=1.6)
    assert len(sizes) > 1 or name in {"flip", "scale_jitter", "all"}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_boxes_stay_valid_and_every_row_keeps_its_box(recipe: Make, name: str) -> None:
    settings = {**GEOMETRIES[name], "photometric": 0.5}
    change = augmentation(recipe(augmentation={"kind": "detection", **settings}), "detection", None)
    for seed in range(60):
        pixels, target = changed_scene(change, seed)
        boxes = target["boxes"]
        height, width = pixels.shape[:2]
        assert type(boxes) is torch.Tensor
        assert boxes.dtype == torch.float32
        assert boxes.shape == (len(target["labels"]), 4)
        assert bool(((boxes[:, 2:] - boxes[:, :2]) >= 1).all())
        assert bool((boxes >= 0).all())
        assert bool((boxes <= torch.tensor([width, height, width, height])).all())
        assert [bool(crowd) for crowd in target["iscrowd"]] == [label == 3 for label in target["labels"]]
        sides = boxes[:, 2:] - boxes[:, :2]
        assert target["area"].tolist() == pytest.approx(sides.prod(dim=1).tolist(), rel=1e-4)
        assert target["image_id"] == 17


def test_the_given_target_is_left_as_it_is(recipe: Make) -> None:
    change = augmentation(recipe(augmentation={"kind": "detection", "flip": 1.0}), "detection", None)
    image, target = scene()
    before = image.tobytes()
    change(image, target)
    assert target["boxes"].tolist() == BOXES
    assert image.tobytes() == before


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_picture_without_objects_stays_one(recipe: Make, name: str) -> None:
    change = augmentation(recipe(augmentation={"kind": "detection", **GEOMETRIES[name]}), "detection", None)
    empty = {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0, dtype=torch.int64)}
    for seed in range(10):
        torch.manual_seed(seed)
        _, target = change(scene()[0], dict(empty))
        assert target["boxes"].shape == (0, 4)
        assert target["labels"].shape == (0,)


def test_a_picture_of_one_pixel_is_not_cropped(recipe: Make) -> None:
    change = augmentation(recipe(augmentation={"kind": "detection", "iou_crop": True}), "detection", None)
    for seed in range(10):
        torch.manual_seed(seed)
        image, _ = change(
            Image.new("RGB", (1, 1)), {"boxes": torch.tensor([[0.0, 0, 1, 1]]), "labels": torch.tensor([1])}
        )
        assert image.size == (1, 1)


def test_small_boxes_are_dropped_by_their_shorter_side(recipe: Make) -> None:
    """Sides of 20 x 24, 20 x 26 and 16 x 12 pixels."""
    change = augmentation(recipe(augmentation={"kind": "detection", "flip": 1.0, "min_side": 13.0}), "detection", None)
    assert changed_scene(change, 0)[1]["labels"].tolist() == [1, 2]


def test_masks_of_objects_follow_too(recipe: Make) -> None:
    change = augmentation(recipe(augmentation={"kind": "detection", "flip": 1.0}), "detection", None)
    image, target = scene()
    target["masks"] = torch.stack([torch.from_numpy(np.asarray(image)[:, :, k].copy() > 0) for k in range(3)])
    _, done = change(image, target)
    assert torch.equal(done["masks"], target["masks"].flip(-1))


@pytest.mark.parametrize("fill", [[10, 20, 30], [200, 100, 0]])
@pytest.mark.parametrize("how", ["zoom_out", "scale_jitter"])
def test_what_is_added_has_the_colour_of_the_settings(recipe: Make, how: str, fill: list[int]) -> None:
    settings: dict[str, Any] = {
        "zoom_out": {"probability": 1.0, "scale": [2.0, 3.0], "fill": fill},
        "scale_jitter": {"size": 50, "scale": [0.2, 0.4], "fill": fill},
    }
    change = augmentation(
        recipe(augmentation={"kind": "detection", "flip": 0.0, how: settings[how]}), "detection", None
    )
    pixels, _ = changed_scene(change, 0)
    assert pixels[-1, -1].tolist() == fill


def test_photometric_changes_are_torchvisions_and_leave_boxes(recipe: Make) -> None:
    settings = {"kind": "detection", "flip": 0.0, "photometric": 0.7}
    change = augmentation(recipe(augmentation=settings), "detection", None)
    for seed in range(10):
        pixels, target = changed_scene(change, seed)
        torch.manual_seed(seed)
        reference = v2.RandomPhotometricDistort(p=0.7)(scene()[0])
        assert np.array_equal(pixels, np.asarray(reference))
        assert target["boxes"].tolist() == BOXES


def test_ssdlites_preset_is_torchvisions(recipe: Make) -> None:
    """references/detection/presets.py: RandomIoUCrop, RandomHorizontalFlip, SanitizeBoundingBoxes."""
    from torchvision import tv_tensors

    change = augmentation(recipe(augmentation={"kind": "detection", "iou_crop": True}), "detection", None)
    reference = v2.Compose([v2.RandomIoUCrop(), v2.RandomHorizontalFlip(0.5), v2.SanitizeBoundingBoxes(min_size=1)])
    for seed in range(30):
        pixels, target = changed_scene(change, seed)
        image, given = scene()
        boxes = tv_tensors.BoundingBoxes(given["boxes"], format="XYXY", canvas_size=(48, 64))
        torch.manual_seed(seed)
        done = reference({"image": image, "boxes": boxes, "labels": given["labels"]})
        assert np.array_equal(pixels, np.asarray(done["image"]))
        assert torch.equal(target["boxes"], done["boxes"].as_subclass(torch.Tensor))
        assert torch.equal(target["labels"], done["labels"])


# ---- masks -----------------------------------------------------------------------------------------------------------


def masked() -> tuple[Image.Image, torch.Tensor]:
    """A picture whose red channel is 10 times its mask, so that each pixel tells its own class."""
    mask = torch.arange(20).repeat_interleave(4)[None, :].expand(60, 80).contiguous().to(torch.uint8)
    pixels = np.zeros((60, 80, 3), dtype=np.uint8)
    pixels[:, :, 0] = mask.numpy() * 10
    pixels[:, :, 1] = 255  # padding has none
    return Image.fromarray(pixels), mask


def check_pair(image: Image.Image, mask: torch.Tensor, ignore: int = 255) -> None:
    pixels = np.asarray(image).astype(int)
    added = pixels[:, :, 1] == 0
    assert np.array_equal(added, (mask == ignore).numpy())
    difference = np.abs(pixels[:, :, 0] - 10 * mask.numpy().astype(int))[~added]
    assert difference.max(initial=0) <= 10  # resampling mixes neighbours


@pytest.mark.parametrize(
    "settings",
    [
        {"crop": 40},
        {"crop": 40, "flip": 1.0},
        {"crop": 100},
        {"crop": 48, "resize": [30, 120]},
        {"crop": 48, "resize": [60, 60]},
    ],
)
def test_masks_follow_their_pictures(recipe: Make, settings: dict[str, Any]) -> None:
    change = augmentation(recipe(augmentation={"kind": "segmentation", **settings}), "segmentation", None)
    side = settings["crop"]
    for seed in range(20):
        torch.manual_seed(seed)
        image, mask = change(*masked())
        assert image.size == (side, side)
        assert mask.shape == (side, side)
        assert type(mask) is torch.Tensor
        assert mask.dtype == torch.uint8
        check_pair(image, mask)


def test_padding_is_right_and_below_and_of_the_ignored_id(recipe: Make) -> None:
    settings = {"kind": "segmentation", "crop": 100, "flip": 0.0}
    image, mask = augmentation(recipe(augmentation=settings), "segmentation", None, ignore=-1)(*masked())
    assert np.array_equal(np.asarray(image)[:60, :80], np.asarray(masked()[0]))
    assert bool((mask[60:] == -1).all())
    assert bool((mask[:, 80:] == -1).all())
    assert torch.equal(mask[:60, :80], masked()[1].long())


def test_the_shorter_side_is_drawn_from_both_ends_of_its_range(recipe: Make) -> None:
    """A flat picture 2 x as wide as high: after a resize to 5, 6 or 7 pixels, so many rows are left of it."""
    settings = {"kind": "segmentation", "crop": 32, "flip": 0.0, "resize": [5, 7]}
    change = augmentation(recipe(augmentation=settings), "segmentation", None)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        _, mask = change(Image.new("RGB", (40, 20)), torch.zeros((20, 40), dtype=torch.uint8))
        seen.add(int((mask[:, 0] == 0).sum()))
    assert seen == {5, 6, 7}


def test_the_models_size_is_cropped_where_the_recipe_names_none(recipe: Make) -> None:
    change = augmentation(recipe(augmentation={"kind": "segmentation"}), "segmentation", (30, 44))
    image, mask = change(*masked())
    assert image.size == (44, 30)
    assert mask.shape == (30, 44)


def test_resize_flip_and_crop_equal_torchvisions_functions(recipe: Make) -> None:
    settings = {"kind": "segmentation", "crop": 24, "flip": 1.0, "resize": [48, 48]}
    torch.manual_seed(4)
    image, mask = augmentation(recipe(augmentation=settings), "segmentation", None)(*masked())
    small = F.hflip(F.resize(masked()[0], [48], antialias=True))
    whole = F.hflip(F.resize(masked()[1][None], [48], interpolation=v2.InterpolationMode.NEAREST)[0])
    places = [
        (top, left)
        for top in range(48 - 24 + 1)
        for left in range(64 - 24 + 1)
        if np.array_equal(np.asarray(F.crop(small, top, left, 24, 24)), np.asarray(image))
        and torch.equal(whole[top : top + 24, left : left + 24], mask)
    ]
    assert places


@pytest.mark.parametrize("size", [(30, 40), (64, 64), (90, 20)])
def test_without_augmentation_pictures_are_fitted_whole(recipe: Make, size: tuple[int, int]) -> None:
    image, mask = augmentation(recipe(), "segmentation", size)(*masked())
    assert (image.height, image.width) == size
    assert tuple(mask.shape) == size
    check_pair(image, mask)
    assert {0, 19} <= set(mask.flatten().tolist())


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_seed_gives_the_same_pair(recipe: Make, task: str) -> None:
    settings: dict[str, Any] = {
        "detection": {"kind": "detection", **GEOMETRIES["all"], "photometric": 0.5},
        "segmentation": {"kind": "segmentation", "resize": [30, 90], "crop": 40},
    }[task]
    change = augmentation(recipe(augmentation=settings), task, None)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        image, target = change(*(scene() if task == "detection" else masked()))
        told = target["boxes"] if task == "detection" else target
        results.append((image.tobytes(), told.tolist()))
    assert results[0] == results[1]
    assert results[0] != results[2]
