"""Optimizers and their groups of parameters, against torch's own and against arithmetic."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from registry_recipes.optimizers import build_optimizer
from registry_recipes.specs import TrainingSpec
from registry_recipes.tensorflow_rmsprop import TensorFlowRMSprop
from torch import nn
from torchvision.ops._utils import split_normalization_params

from registry.errors import RegistryError

Make = Callable[..., TrainingSpec]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs = torch.randn(4, 3, 8, 8, generator=generator)
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


TORCHS: list[tuple[dict[str, Any], Callable[[Any], torch.optim.Optimizer]]] = [
    (
        {"kind": "rmsprop", "eps": 0.0316, "alpha": 0.9, "momentum": 0.9, "weight_decay": 1e-5},
        lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9, weight_decay=1e-5, eps=0.0316, alpha=0.9),
    ),
    (
        {"kind": "rmsprop", "tf_eps": 0.001, "alpha": 0.8, "momentum": 0.5},
        lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.5, eps=math.sqrt(0.001), alpha=0.8),
    ),
    (
        {"kind": "sgd", "momentum": 0.8, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, weight_decay=0.01),
    ),
    (
        {"kind": "sgd", "momentum": 0.8, "nesterov": True},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    ),
    (
        {"kind": "adamw", "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.05},
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.05),
    ),
]


@pytest.mark.parametrize(("settings", "theirs"), TORCHS)
def test_five_steps_equal_torchs_bit_for_bit(
    recipe: Make, settings: dict[str, Any], theirs: Callable[[Any], torch.optim.Optimizer]
) -> None:
    ours = network()
    trained = train(ours, build_optimizer(recipe(optimizer=settings), ours, batch=8))
    reference = network()
    assert equal(trained, train(reference, theirs(reference.parameters())))


def test_without_decay_of_norms_it_equals_torchvisions_groups_bit_for_bit(recipe: Make) -> None:
    settings = {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.3, "norm_weight_decay": 0.0}
    ours = network()
    trained = train(ours, build_optimizer(recipe(optimizer=settings), ours, batch=8))
    reference = network()
    norms, others = split_normalization_params(reference)
    groups = [{"params": norms, "weight_decay": 0.0}, {"params": others, "weight_decay": 0.3}]
    assert equal(trained, train(reference, torch.optim.SGD(groups, lr=0.1, momentum=0.9)))


# ---- epsilon ---------------------------------------------------------------------------------------------------------


def first_step(recipe: Make, gradient: float, **settings: Any) -> float:
    """How far one parameter goes in its first step, at a rate of 1 and without momentum."""
    model = nn.Linear(1, 1, bias=False)
    made = recipe(rate=1.0, optimizer={"kind": "rmsprop", "alpha": 0.9, "momentum": 0.0, **settings})
    optimizer = build_optimizer(made, model, batch=8)
    before = model.weight.item()
    model.weight.grad = torch.full((1, 1), gradient)
    optimizer.step()
    return before - model.weight.item()


def test_three_epsilons_make_three_first_steps(recipe: Make) -> None:
    """A gradient of 0.01: outside the root, inside it, and inside it with a mean square that begins at one."""
    outside = first_step(recipe, 0.01, eps=0.0316)
    assert outside == pytest.approx(0.01 / (math.sqrt(0.1 * 0.01**2) + 0.0316), rel=1e-5)
    assert outside == pytest.approx(0.28767, abs=1e-5)
    inside_from_zero = 0.01 / math.sqrt(0.1 * 0.01**2 + 0.001)
    assert inside_from_zero == pytest.approx(0.31466, abs=1e-5)
    inside_from_one = first_step(recipe, 0.01, tf_eps=0.001, tensorflow=True)
    assert inside_from_one == pytest.approx(0.01 / math.sqrt(0.9 + 0.1 * 0.01**2 + 0.001), rel=1e-4)
    assert inside_from_one == pytest.approx(0.0105, abs=5e-5)


def test_a_mean_square_from_zero_makes_tensorflows_step_with_epsilon_inside() -> None:
    """The optimizer's own state decides: put to zero, what is left is epsilon inside the root."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = TensorFlowRMSprop([parameter], lr=1.0, alpha=0.9, eps=0.001)
    optimizer.state[parameter] = {"square_avg": torch.zeros(1), "momentum_buffer": torch.zeros(1)}
    parameter.grad = torch.full((1,), 0.01)
    optimizer.step()
    assert -parameter.item() == pytest.approx(0.31466, abs=1e-5)


@pytest.mark.parametrize(("settings", "inside"), [({"tf_eps": 0.002}, 0.002), ({"eps": 0.03}, 0.0009)])
def test_tensorflows_rmsprop_equals_its_arithmetic_over_twenty_steps(
    recipe: Make, settings: dict[str, float], inside: float
) -> None:
    """In double precision, with a rate that changes on the way: momentum keeps steps, not gradients."""
    model = nn.Linear(1, 1, bias=False).double()
    optimizer_spec = {"kind": "rmsprop", "alpha": 0.8, "momentum": 0.7, "weight_decay": 0.1, "tensorflow": True}
    optimizer = build_optimizer(recipe(optimizer={**optimizer_spec, **settings}), model, batch=8)
    value, square, moved = model.weight.item(), 1.0, 0.0
    for step in range(20):
        rate, gradient = 0.1 * 0.9**step, math.sin(step) * 2
        optimizer.param_groups[0]["lr"] = rate
        model.weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        optimizer.step()
        whole = gradient + 0.1 * value
        square = 0.8 * square + 0.2 * whole**2
        moved = 0.7 * moved + rate * whole / math.sqrt(square + inside)
        value -= moved
        assert model.weight.item() == pytest.approx(value, rel=1e-12)


def test_tensorflows_rmsprop_resumes_from_its_state(recipe: Make) -> None:
    made = recipe(optimizer={"kind": "rmsprop", "tf_eps": 0.001, "tensorflow": True})
    first = network()
    optimizer = build_optimizer(made, first, batch=8)
    train(first, optimizer, steps=3)
    second = network(seed=9)
    second.load_state_dict(first.state_dict())
    resumed = build_optimizer(made, second, batch=8)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert equal(train(second, resumed, steps=2), train(first, optimizer, steps=2))


@pytest.mark.parametrize("settings", [{}, {"eps": 0.1, "tf_eps": 0.01}])
def test_one_epsilon_is_needed_when_building_too(recipe: Make, settings: dict[str, float]) -> None:
    with pytest.raises(RegistryError, match="exactly one of `eps` and `tf_eps`"):
        build_optimizer(recipe(optimizer={"kind": "rmsprop", **settings}), network(), batch=8)


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"lr": 0.1, "eps": -1.0}, {"lr": 0.1, "alpha": 1.0}])
def test_tensorflows_rmsprop_refuses_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        TensorFlowRMSprop([nn.Parameter(torch.zeros(1))], **settings)


# ---- groups ----------------------------------------------------------------------------------------------------------


class Segmenter(nn.Module):
    """A backbone, a classifier and an auxiliary classifier, as torchvision names them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.classifier = nn.Conv2d(4, 2, 1)
        self.aux_classifier = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def named(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, tuple[set[str], float, float]]:
    """Names, rate and decay of each group."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        group["name"]: ({names[p] for p in group["params"]}, group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
    }


def test_one_group_holds_everything_unless_settings_differ(recipe: Make) -> None:
    model = network()
    (group,) = build_optimizer(recipe(), model, batch=8).param_groups
    assert (group["name"], group["lr"], group["initial_lr"]) == ("main", 0.1, 0.1)
    assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))


def test_auxiliary_heads_have_ten_times_the_rate(recipe: Make) -> None:
    model = Segmenter()
    groups = named(build_optimizer(recipe(), model, batch=8), model)
    assert {name: rate for name, (_, rate, _) in groups.items()} == {"main": 0.1, "auxiliary_main": 1.0}
    assert groups["auxiliary_main"][0] == {n for n, _ in model.named_parameters() if n.startswith("aux_classifier")}


def test_norms_and_biases_have_decays_of_their_own(recipe: Make) -> None:
    settings = {"kind": "sgd", "weight_decay": 0.4, "norm_weight_decay": 0.2, "bias_weight_decay": 0.1}
    model = Segmenter()
    made = recipe(optimizer=settings, auxiliary_rate=3.0)
    found = named(build_optimizer(made, model, batch=8), model)
    assert {name: (names, decay) for name, (names, _, decay) in found.items()} == {
        "main": ({"backbone.0.weight", "classifier.weight"}, 0.4),
        "norm": ({"backbone.1.weight"}, 0.2),
        "bias": ({"backbone.1.bias", "classifier.bias"}, 0.1),
        "auxiliary_main": ({"aux_classifier.0.weight", "aux_classifier.2.weight"}, 0.4),
        "auxiliary_norm": ({"aux_classifier.1.weight"}, 0.2),
        "auxiliary_bias": ({"aux_classifier.1.bias", "aux_classifier.2.bias"}, 0.1),
    }
    assert [round(rate, 9) for _, rate, _ in found.values()] == [0.1, 0.1, 0.1, 0.3, 0.3, 0.3]


def test_a_bias_of_a_norm_is_a_norm_where_biases_have_no_decay_of_their_own(recipe: Make) -> None:
    model = Segmenter()
    settings = {"kind": "sgd", "weight_decay": 0.4, "norm_weight_decay": 0.0}
    groups = named(build_optimizer(recipe(optimizer=settings), model, batch=8), model)
    assert groups["norm"][0] == {"backbone.1.weight", "backbone.1.bias"}
    assert "classifier.bias" in groups["main"][0]


def test_frozen_and_shared_parameters(recipe: Make) -> None:
    model = Segmenter()
    model.backbone.requires_grad_(False)
    model.classifier.weight = model.aux_classifier[2].weight
    groups = build_optimizer(recipe(), model, batch=8).param_groups
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held)) == 6  # the shared one, three biases, a convolution and a norm's factor
    assert all(parameter.requires_grad for parameter in held)


def test_a_model_with_nothing_to_train_is_refused(recipe: Make) -> None:
    with pytest.raises(RegistryError, match="no parameter of the model is trained"):
        build_optimizer(recipe(), network().requires_grad_(False), batch=8)


@pytest.mark.parametrize(
    ("reference", "batch", "rate"), [(None, 64, 0.1), (32, 64, 0.2), (32, 32, 0.1), (32, 8, 0.025)]
)
def test_the_rate_follows_the_batch_from_its_reference(
    recipe: Make, reference: int | None, batch: int, rate: float
) -> None:
    optimizer = build_optimizer(recipe(reference_batch=reference), network(), batch=batch)
    assert optimizer.param_groups[0]["initial_lr"] == pytest.approx(rate)
