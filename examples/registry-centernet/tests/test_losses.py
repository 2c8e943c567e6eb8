"""The losses against the paper's equations, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from registry_centernet.losses import focal_loss, losses
from registry_centernet.settings import LossSpec
from registry_centernet.targets import Encoded


def test_focal_loss_of_four_points() -> None:
    """Equation 1 with alpha 2 and beta 4: a centre, a point near it, and two of the background."""
    scores = [0.6, 0.3, 0.2, 0.05]
    heatmap = torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 2, 2)
    logits = torch.tensor([math.log(p / (1 - p)) for p in scores]).view(1, 1, 2, 2)
    wanted = -(
        0.4**2 * math.log(0.6) + 0.5**4 * 0.3**2 * math.log(0.7) + 0.2**2 * math.log(0.8) + 0.05**2 * math.log(0.95)
    )
    assert focal_loss(logits, heatmap, alpha=2, beta=4).item() == pytest.approx(wanted, rel=1e-5)


def test_focal_loss_without_exponents_is_cross_entropy() -> None:
    """Against torch's own, with targets of 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 4, generator=generator)
    heatmap = torch.randint(0, 2, logits.shape, generator=generator).float()
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, heatmap, reduction="sum")
    torch.testing.assert_close(focal_loss(logits, heatmap, alpha=0, beta=0), wanted)


def test_focal_loss_of_very_sure_scores_is_finite() -> None:
    logits = torch.tensor([200.0, -200.0]).view(1, 1, 1, 2).requires_grad_()
    loss = focal_loss(logits, torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), alpha=2, beta=4)
    loss.backward()
    assert loss.item() == pytest.approx(400)  # -log of a score of e^-200, twice
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def _outputs() -> dict[str, torch.Tensor]:
    outputs = {"heatmap": torch.zeros(1, 1, 2, 2), "size": torch.zeros(1, 2, 2, 2), "offset": torch.zeros(1, 2, 2, 2)}
    outputs["size"][0, :, 1, 0] = torch.tensor([4.0, 2.0])
    outputs["offset"][0, :, 0, 1] = torch.tensor([0.75, 0.5])
    return outputs


def test_size_and_offset_losses_of_two_objects() -> None:
    """Sums over both directions of |prediction - truth| at the centres alone, over two objects, times 0.1 and 1."""
    encoded = Encoded(
        heatmap=torch.tensor([[0.0, 1.0], [1.0, 0.0]]).view(1, 1, 2, 2),
        image=torch.tensor([0, 0]),
        row=torch.tensor([1, 0]),
        column=torch.tensor([0, 1]),
        size=torch.tensor([[5.0, 2.5], [1.0, 3.0]]),
        offset=torch.tensor([[0.25, 0.0], [0.5, 0.5]]),
    )
    found = losses(_outputs(), encoded, LossSpec())
    assert found["loss_size"].item() == pytest.approx(0.1 * (1 + 0.5 + 1 + 3) / 2)
    assert found["loss_offset"].item() == pytest.approx((0.25 + 0 + 0.25 + 0) / 2)
    assert found["loss_heatmap"].item() == pytest.approx(4 * 0.5**2 * math.log(2) / 2)


def test_weights_and_exponents_are_those_of_the_settings() -> None:
    """Four points of score 1/2, one of them a centre, one at half a bell; alpha 1 and beta 2; weights 3, 0.5 and 7."""
    encoded = Encoded(
        heatmap=torch.tensor([[0.0, 1.0], [0.5, 0.0]]).view(1, 1, 2, 2),
        image=torch.tensor([0]),
        row=torch.tensor([0]),
        column=torch.tensor([1]),
        size=torch.tensor([[1.0, 3.0]]),
        offset=torch.tensor([[0.25, 0.0]]),
    )
    found = losses(_outputs(), encoded, LossSpec(heatmap=3.0, size=0.5, offset=7.0, alpha=1.0, beta=2.0))
    assert found["loss_heatmap"].item() == pytest.approx(3 * (3 + 0.5**2) * 0.5 * math.log(2))
    assert found["loss_size"].item() == pytest.approx(0.5 * (1 + 3))
    assert found["loss_offset"].item() == pytest.approx(7 * (0.5 + 0.5))


def test_outputs_of_half_precision_give_losses_of_full_precision() -> None:
    """A score of 0.0025, squared, is among the last numbers that half precision tells apart, with an error of per cents."""
    nothing = torch.zeros(0, dtype=torch.int64)
    encoded = Encoded(torch.zeros(1, 1, 2, 2), nothing, nothing, nothing, torch.zeros(0, 2), torch.zeros(0, 2))
    outputs = {**_outputs(), "heatmap": torch.full((1, 1, 2, 2), -6.0)}
    found = losses({name: values.half() for name, values in outputs.items()}, encoded, LossSpec())
    score = 1 / (1 + math.exp(6))
    assert found["loss_heatmap"].item() == pytest.approx(-4 * score**2 * math.log(1 - score), rel=1e-5)


def test_without_objects_only_the_heatmap_counts() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    encoded = Encoded(torch.zeros(1, 1, 2, 2), nothing, nothing, nothing, torch.zeros(0, 2), torch.zeros(0, 2))
    found = losses(_outputs(), encoded, LossSpec())
    assert found["loss_size"].item() == found["loss_offset"].item() == 0
    assert found["loss_heatmap"].item() == pytest.approx(4 * 0.5**2 * math.log(2))
