"""From the network's maps to boxes: peaks of the heatmap, each with its size and offset. Paper: section 3, last part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection._utils import _topk_min

#: The network's maps.
NAMES = ("heatmap", "size", "offset")


def peaks(logits: Tensor) -> Tensor:
    """The logits where none of the eight neighbours is greater, minus infinity elsewhere; (N, C, h, w).

    A 3x3 max pool takes the place of suppressing overlaps.
    """
    maps = logits.reshape(-1, 1, *logits.shape[-2:])  # exporters know pools of four axes alone
    pooled = F.max_pool2d(maps, kernel_size=3, stride=1, padding=1).reshape(logits.shape)
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
    maps = (outputs[name].float() for name in NAMES)
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
    # rounded up, of numbers or of tensors that an exporter records; ONNX divides negative ones otherwise
    rows, columns = (height + stride - 1) // stride, (width + stride - 1) // stride
    found = peaks(logits[None, :, :rows, :columns])[0]
    flat = found.flatten()
    best, index = flat.topk(_topk_min(flat, top, 0))
    label, place = index // (rows * columns), index % (rows * columns)
    row, column = place // columns, place % columns
    centre = torch.stack([column, row], 1) + offset[:, row, column].T
    half = size[:, row, column].T / 2
    boxes = torch.cat([centre - half, centre + half], 1) * stride
    limit = torch.stack([torch.as_tensor(side, dtype=boxes.dtype, device=boxes.device) for side in (width, height)])
    boxes = torch.minimum(boxes.clamp(min=0), limit.repeat(2))
    scores = best.sigmoid()
    kept = (best > -math.inf) & (scores >= score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return {"boxes": boxes[kept], "labels": label[kept] + 1, "scores": scores[kept]}
