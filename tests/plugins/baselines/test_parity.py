"""ResNet and MobileNetV2 classifiers are torchvision's: structure, initialisation and arithmetic."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

NAMES = ("resnet18", "resnet50", "mobilenet_v2")
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.25, 1.4)
every_name = pytest.mark.parametrize("name", NAMES)


def theirs(name: str, **settings: Any) -> nn.Module:
    model: nn.Module = getattr(torchvision.models, name)(**settings)
    return model


def layout(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(key, tuple(tensor.shape)) for key, tensor in model.state_dict().items()]


def noise(*shape: int, seed: int = 11) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 4 - 2


def spread_statistics(model: nn.Module) -> None:
    """Batch norms get factors of their own, and the statistics of a batch of noise so that values keep their size."""
    generator = torch.Generator().manual_seed(5)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.2, 0.2, generator=generator)
        norm.momentum = None  # the plain average, of one batch
    with torch.no_grad():
        model.train()(noise(3, 3, 32, 32))
    for norm in norms:
        norm.momentum = 0.1


@functools.cache
def pair_of(name: str, **settings: Any) -> tuple[nn.Module, nn.Module]:
    """Both implementations with the same state, far from a fresh one; shared, so do not change them."""
    expected = theirs(name, **settings)
    spread_statistics(expected)
    overrides = {f"backbone.{key}": value for key, value in settings.items()}
    found = registry.build(name, overrides=overrides, device="meta")
    found.load_state_dict(copy.deepcopy(expected.state_dict()), strict=True, assign=True)
    return found, expected


def assert_same_state(found: nn.Module, expected: nn.Module) -> None:
    left, right = found.state_dict(), expected.state_dict()
    assert list(left) == list(right)
    for key, tensor in right.items():
        assert left[key].dtype == tensor.dtype, key
        assert torch.equal(left[key], tensor), key


@every_name
@pytest.mark.parametrize("classes", [1000, 7])
def test_keys_shapes_and_order_are_torchvisions(name: str, classes: int) -> None:
    with torch.device("meta"):
        expected = theirs(name, num_classes=classes)
    found = registry.build(name, num_classes=classes, device="meta")
    assert layout(found) == layout(expected)
    assert [key for key, _ in found.named_parameters()] == [key for key, _ in expected.named_parameters()]


@pytest.mark.parametrize("width", WIDTHS)
def test_mobilenet_v2_has_torchvisions_layout_at_every_width(width: float) -> None:
    with torch.device("meta"):
        expected = theirs("mobilenet_v2", width_mult=width)
    found = registry.build("mobilenet_v2", overrides={"backbone.width_mult": width}, device="meta")
    assert layout(found) == layout(expected)


@every_name
def test_one_seed_gives_the_same_parameters_and_leaves_the_same_random_state(name: str) -> None:
    torch.manual_seed(3)
    expected = theirs(name)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    found = registry.build(name)
    assert torch.equal(torch.get_rng_state(), after)
    assert_same_state(found, expected)


@every_name
def test_state_dicts_load_strictly_both_ways(name: str) -> None:
    found, expected = (copy.deepcopy(model) for model in pair_of(name))
    for giver, taker in ((found, expected), (expected, found)):
        for tensor in giver.state_dict().values():
            tensor.add_(1)
        taker.load_state_dict(giver.state_dict(), strict=True)
        assert_same_state(taker, giver)


@every_name
@pytest.mark.parametrize("size", [(64, 64), (33, 47), (1, 1)], ids=str)
def test_outputs_in_evaluation_are_bit_equal(name: str, size: tuple[int, int]) -> None:
    found, expected = pair_of(name)
    with torch.no_grad():
        output = expected.eval()(noise(2, 3, *size))
        assert torch.equal(found.eval()(noise(2, 3, *size)), output)
    assert output.std() > 0.01  # far from a constant that any network yields


@pytest.mark.parametrize("width", [0.35, 1.4])
def test_mobilenet_v2_of_another_width_is_bit_equal(width: float) -> None:
    found, expected = pair_of("mobilenet_v2", width_mult=width)
    with torch.no_grad():
        assert torch.equal(found.eval()(noise(1, 3, 64, 64)), expected.eval()(noise(1, 3, 64, 64)))


@every_name
def test_outputs_gradients_and_statistics_in_training_are_bit_equal(name: str) -> None:
    found, expected = (copy.deepcopy(model) for model in pair_of(name))
    outputs = []
    for model in (found, expected):
        torch.manual_seed(7)  # dropout
        output = model.train()(noise(3, 3, 32, 32))
        output.square().mean().backward()
        outputs.append(output)
    assert torch.equal(*outputs)
    assert_same_state(found, expected)
    for (key, ours), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours.grad, other.grad), key


def test_the_dropout_of_mobilenet_v2s_classifier_can_be_set() -> None:
    model = registry.build("mobilenet_v2", overrides={"head.dropout": 0.5}, device="meta")
    assert model.get_submodule("classifier.0").p == 0.5
