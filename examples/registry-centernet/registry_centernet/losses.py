"""The losses: focal for the heatmap, absolute differences for size and offset. Paper: section 3, equations 1 to 4."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from registry_centernet.settings import LossSpec
from registry_centernet.targets import Encoded


def focal_loss(logits: Tensor, heatmap: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Equation 1, summed over all points and not yet divided by the number of objects; a scalar.

    With p the score: -(1 - p)^alpha log p where the heatmap is 1, and -(1 - heatmap)^beta p^alpha log(1 - p) elsewhere.

    Args:
        logits: (N, classes, h, w), scores before the sigmoid.
        heatmap: of the same shape, 0 to 1.
    """
    scores = logits.sigmoid()
    centre = (1 - scores) ** alpha * F.logsigmoid(logits)
    elsewhere = (1 - heatmap) ** beta * scores**alpha * F.logsigmoid(-logits)
    return -torch.where(heatmap == 1, centre, elsewhere).sum()


def losses(outputs: Mapping[str, Tensor], encoded: Encoded, spec: LossSpec) -> dict[str, Tensor]:
    """The three losses, weighted, each divided by the number of objects in the batch, or by 1 where there is none.

    Args:
        outputs: `heatmap` (N, classes, h, w) before the sigmoid, `size` and `offset` (N, 2, h, w).
    """
    count = max(1, len(encoded.image))
    found = {name: outputs[name].float() for name in ("heatmap", "size", "offset")}
    at = encoded.image, slice(None), encoded.row, encoded.column
    size = F.l1_loss(found["size"][at], encoded.size, reduction="sum")
    offset = F.l1_loss(found["offset"][at], encoded.offset, reduction="sum")
    heatmap = focal_loss(found["heatmap"], encoded.heatmap, alpha=spec.alpha, beta=spec.beta)
    return {
        "loss_heatmap": spec.heatmap * heatmap / count,
        "loss_size": spec.size * size / count,
        "loss_offset": spec.offset * offset / count,
    }
