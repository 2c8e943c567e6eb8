"""From the network's maps to boxes: peaks of the heatmap, each with its size and offset. Paper: section 3, last part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def peaks(logits: Tensor) -> Tensor:
    """The logits where none of the eight neighbours is greater, minus infinity elsewhere; (..., h, w).

    A 3x3 max pool takes the place of suppressing overlaps.
    """
    pooled = F.max_pool2d(logits, kernel_size=3, stride=1, padding=1)
    return torch.where(logits == pooled, logits, -math.inf)


def decode(
    outputs: Mapping[str, Tensor],
    image_sizes: Sequence[tuple[int, int]],
    *,
    stride: int,
    top: int,
    score_threshold: float,
) -> list[dict[str, Tensor]]:
    """The best peaks of each image over all classes, best first, clipped to the image. Nothing is found in the padding.

    Args:
        outputs: `heatmap` (N, classes, h, w) before the sigmoid, `size` and `offset` (N, 2, h, w) in steps of the map.
        image_sizes: height and width in pixels of each image, without the padding of the batch.
        stride: pixels per step of the map.
        top: most boxes of an image.
        score_threshold: least score.

    Returns:
        For each image `boxes`, float (D, 4), x1, y1, x2, y2 in pixels, `labels`, int64 (D), from 1, and `scores`, float (D).
    """
    maps = (outputs[name].float() for name in ("heatmap", "size", "offset"))
    rows = zip(*maps, image_sizes, strict=True)
    return [_one(*row, stride=stride, top=top, score_threshold=score_threshold) for row in rows]


def _one(
    logits: Tensor,
    size: Tensor,
    offset: Tensor,
    image_size: tuple[int, int],
    *,
    stride: int,
    top: int,
    score_threshold: float,
) -> dict[str, Tensor]:
    height, width = image_size
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    found = peaks(logits[:, :rows, :columns])
    best, index = found.flatten().topk(min(top, found.numel()))
    label, place = index // found[0].numel(), index % found[0].numel()
    row, column = place // found.shape[2], place % found.shape[2]
    centre = torch.stack([column, row], 1) + offset[:, row, column].T
    half = size[:, row, column].T / 2
    boxes = torch.cat([centre - half, centre + half], 1) * stride
    boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height] * 2))
    scores = best.sigmoid()
    kept = (best > -math.inf) & (scores >= score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return {"boxes": boxes[kept], "labels": label[kept] + 1, "scores": scores[kept]}
