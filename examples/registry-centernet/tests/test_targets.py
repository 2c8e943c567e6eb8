"""Gaussian radius and encoding, against arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import box_iou

from registry_centernet.targets import encode, gaussian_radius


def test_radius_of_a_square_at_a_quarter() -> None:
    """Both corners of an 8x8 box inwards by 2 leave 4x4 = 16 of 64, a quarter; the other cases allow more.

    The same way: (8 - r)^2 / (128 - (8 - r)^2) = 1/4 at (8 - r)^2 = 25.6, r = 2.94. Outwards: 64 / (8 + 2r)^2 = 1/4 at r = 4.
    """
    assert gaussian_radius(8, 8, 0.25) == pytest.approx(2)


def test_radius_of_a_long_box() -> None:
    """A 10x4 box with corners inwards by 1 keeps 8x2 = 16 of 40, an overlap of 0.4; outwards by 1 it is 40 in 12x6 = 72."""
    assert gaussian_radius(10, 4, 0.4) == pytest.approx(1)


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.7, 0.95])
@pytest.mark.parametrize(("width", "height"), [(8.0, 8.0), (30.0, 5.0), (3.0, 17.0)])
def test_radius_is_the_least_of_three_cases(width: float, height: float, overlap: float) -> None:
    """By torchvision's IoU: none of the moved boxes overlaps less, and one exactly so much."""
    r = gaussian_radius(width, height, overlap)
    moved = [[r, r, width + r, height + r], [r, r, width - r, height - r], [-r, -r, width + r, height + r]]
    box = torch.tensor([[0, 0, width, height]], dtype=torch.float64)
    found = box_iou(box, torch.tensor(moved, dtype=torch.float64))[0]
    assert found.min() == pytest.approx(overlap)


def test_heatmap_of_one_box() -> None:
    """A box of 32x32 pixels is 8x8 steps at stride 4: radius 2 at an overlap of 1/4, deviation (2 * 2 + 1) / 6."""
    target = {"boxes": torch.tensor([[14.0, 10.0, 46.0, 42.0]]), "labels": torch.tensor([2])}  # centre 30, 26 pixels
    found = encode([target], classes=2, size=(16, 20), stride=4, min_overlap=0.25)
    deviation = 5 / 6
    wanted = torch.zeros(2, 16, 20)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            wanted[1, 6 + dy, 7 + dx] = math.exp(-(dx**2 + dy**2) / (2 * deviation**2))
    torch.testing.assert_close(found.heatmap[0], wanted)
    assert (found.row.tolist(), found.column.tolist(), found.image.tolist()) == ([6], [7], [0])
    assert found.size.tolist() == [[8, 8]]
    assert found.offset.tolist() == [[0.5, 0.5]]  # 30 / 4 = 7.5 and 26 / 4 = 6.5


def test_gaussians_that_meet_take_the_greater_value() -> None:
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [2.0, 0.0, 10.0, 8.0]])  # 8x8 steps at stride 1, centres 4 and 6
    found = encode(
        [{"boxes": boxes, "labels": torch.tensor([1, 1])}], classes=1, size=(12, 12), stride=1, min_overlap=0.25
    )
    row = found.heatmap[0, 0, 4]
    assert (row[4], row[6]) == (1, 1)
    assert row[5] == pytest.approx(math.exp(-1 / (2 * (5 / 6) ** 2)))


def test_a_centre_on_the_last_pixel_stays_inside() -> None:
    """A box may end a pixel outside of its image, for labels that were rounded."""
    target = {"boxes": torch.tensor([[15.0, 15.0, 17.0, 17.0]]), "labels": torch.tensor([1])}
    found = encode([target], classes=1, size=(4, 4), stride=4, min_overlap=0.3)
    assert (found.row.item(), found.column.item()) == (3, 3)
    assert found.offset.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((31.0, 15.0, 35.0, 19.0), (3, 7)),  # centre 33, 17 beyond a map of 4 rows and 8 columns at stride 4
        ((-5.0, -7.0, 1.0, 3.0), (0, 0)),  # centre -2, -2
    ],
)
def test_a_centre_outside_counts_at_the_nearest_step(box: tuple[float, ...], place: tuple[int, int]) -> None:
    found = encode(
        [{"boxes": torch.tensor([box]), "labels": torch.tensor([1])}],
        classes=1,
        size=(4, 8),
        stride=4,
        min_overlap=0.3,
    )
    assert (found.row.item(), found.column.item()) == place
    assert found.heatmap[0, 0, place[0], place[1]] == 1


def test_images_without_objects() -> None:
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    one = {"boxes": torch.tensor([[0.0, 0.0, 8.0, 8.0]]), "labels": torch.tensor([1])}
    found = encode([empty, one, empty], classes=1, size=(4, 4), stride=4, min_overlap=0.3)
    assert found.image.tolist() == [1]
    assert found.heatmap.flatten(1).amax(1).tolist() == [0, 1, 0]
