"""From boxes to what the network shall say: a heatmap with a Gaussian at each centre, sizes and offsets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Encoded(NamedTuple):
    """Targets of a batch of N images with M objects in all, for maps of h x w steps.

    Attributes:
        heatmap: float (N, classes, h, w), 0 to 1, exactly 1 at the centre of each object.
        image, row, column: int64 (M), where each object's centre lies.
        size: float (M, 2), width and height of each box in steps of the map.
        offset: float (M, 2), x and y from the step's own place to the centre, in steps, 0 to 1.
    """

    heatmap: Tensor
    image: Tensor
    row: Tensor
    column: Tensor
    size: Tensor
    offset: Tensor


def gaussian_radius(width: float, height: float, min_overlap: float) -> float:
    """How far both corners of a box may be off along x and y, so that its overlap (IoU) with the true one stays `min_overlap`.

    The least of three cases: both corners moved the same way, inwards, and outwards. Each is the smaller positive root of
    a quadratic. Source: CornerNet, arXiv 1808.01244, section 3.2. Code that is often copied takes (b + sqrt(b^2 - 4ac)) / 2
    for each root, so that its overlap of 0.7 yields about the radius of 0.3 here.

    Args:
        width, height: of the box, in the unit of the result.
        min_overlap: between 0 and 1.
    """
    total, area, o = width + height, width * height, min_overlap
    same_way = (total - math.sqrt(total**2 - 4 * area * (1 - o) / (1 + o))) / 2
    inwards = (total - math.sqrt(total**2 - 4 * area * (1 - o))) / 4
    outwards = (math.sqrt((o * total) ** 2 + 4 * o * (1 - o) * area) - o * total) / (4 * o)
    return min(same_way, inwards, outwards)


def encode(
    targets: Sequence[Mapping[str, Tensor]], *, classes: int, size: tuple[int, int], stride: int, min_overlap: float
) -> Encoded:
    """Targets of a batch.

    Where Gaussians of a class meet, the greater value counts; each ends at its radius, which is three of its deviations
    (paper: section 3; the authors' code: deviation (2 radius + 1) / 6).

    Args:
        targets: for each image `boxes`, float (M, 4), x1, y1, x2, y2 in pixels of the resized image, and `labels`, int64 (M),
            from 1 to `classes`.
        size: rows and columns of the map.
        stride: pixels per step of the map.
    """
    boxes = torch.cat([target["boxes"] for target in targets]).float() / stride
    labels = torch.cat([target["labels"] for target in targets]) - 1
    counts = torch.tensor([len(target["boxes"]) for target in targets], device=boxes.device)
    image = torch.arange(len(targets), device=boxes.device).repeat_interleave(counts)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    extent = boxes[:, 2:] - boxes[:, :2]
    last = centre.new_tensor([size[1] - 1, size[0] - 1])
    place = torch.minimum(centre.floor().clamp(min=0), last)
    heatmap = centre.new_zeros(len(targets), classes, *size)
    rows = torch.arange(size[0], device=boxes.device)
    columns = torch.arange(size[1], device=boxes.device)
    for where, label, (x, y), (width, height) in zip(
        image.tolist(), labels.tolist(), place.tolist(), extent.tolist(), strict=True
    ):
        radius = math.floor(gaussian_radius(width, height, min_overlap))
        bell = _bell(rows - y, radius)[:, None] * _bell(columns - x, radius)
        torch.maximum(heatmap[where, label], bell, out=heatmap[where, label])
    column, row = place.long().unbind(1)
    return Encoded(heatmap, image, row, column, extent, centre - place)


def _bell(distance: Tensor, radius: int) -> Tensor:
    """A Gaussian of that distance, 0 from beyond the radius."""
    deviation = (2 * radius + 1) / 6
    return torch.exp(-(distance**2) / (2 * deviation**2)) * (distance.abs() <= radius)
