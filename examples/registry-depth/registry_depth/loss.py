"""The scale-invariant loss of logarithms of depth."""

from __future__ import annotations

import torch


def scale_invariant_log_loss(
    depth: torch.Tensor, truth: torch.Tensor, counts: torch.Tensor, variance_focus: float
) -> torch.Tensor:
    """The mean over images of mean(d^2) - variance_focus * mean(d)^2, where d = log depth - log truth.

    Source: Eigen et al., arXiv 1406.2283, equation 4, whose lambda is `variance_focus`. Counted as the variance of d and the
    rest of its squared mean, which is the same and never below zero. An image in which nothing counts has no part in it; a
    batch of such images gives 0, with a gradient of 0.

    Args:
        depth: what the model says, (N, H, W), positive.
        truth: (N, H, W).
        counts: bool (N, H, W), which pixels count; there `truth` must be positive.
        variance_focus: 0 to 1.
    """
    known = torch.where(counts, truth, torch.ones_like(truth))
    apart = torch.where(counts, depth.log() - known.log(), torch.zeros_like(depth)).flatten(1)
    inside = counts.flatten(1)
    pixels = inside.sum(1).clamp(min=1)
    mean = apart.sum(1) / pixels
    spread = torch.where(inside, apart - mean[:, None], torch.zeros_like(apart)).square().sum(1) / pixels
    losses = spread + (1 - variance_focus) * mean.square()
    return losses.sum() / inside.any(1).sum().clamp(min=1)
