"""The check of a model's arguments: it runs on plain calls, and on nothing whose tensors have no values of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.errors import RegistryError
from registry.modules.checked import Checked

LOW = torch.tensor([[0.25, 0.5], [0.75, 1.0]])
HIGH = LOW * 4


class Doubled(Checked):
    """Doubles images of at most 1."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def check_inputs(self, images: Any, options: Any = None) -> None:
        """Reads values and types, as the checks of detectors and segmenters do."""
        self.calls += 1
        for image in images if isinstance(images, (list, tuple)) else [images]:
            if not isinstance(image, Tensor):
                raise RegistryError(f"not a tensor but a {type(image).__name__}")
            if float(image.detach().max()) > 1:
                raise RegistryError("too bright")

    def forward(self, images: Any, options: Any = None) -> Any:
        """Twice each image."""
        return [image * 2 for image in images] if isinstance(images, (list, tuple)) else images * 2


class Parent(nn.Module):
    """A plain module that holds a checked one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Doubled()

    def forward(self, images: Tensor) -> Tensor:
        """One more than twice the images."""
        result: Tensor = self.inner(images) + 1
        return result


# ---- where it runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("give", [lambda high: [high], lambda high: high, lambda high: (LOW, high)])
def test_a_plain_call_is_checked(give: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RegistryError, match="too bright"):
        Doubled()(give(HIGH))
    module = Doubled()
    module(give(LOW))
    assert module.calls == 1


def test_a_call_through_a_parent_is_checked() -> None:
    with pytest.raises(RegistryError, match="too bright"):
        Parent()(HIGH)
    assert torch.equal(Parent()(LOW), torch.tensor([[1.5, 2.0], [2.5, 3.0]]))


def test_counting_operations_is_a_plain_call() -> None:
    with FlopCounterMode(display=False), pytest.raises(RegistryError, match="too bright"):
        Doubled()(HIGH)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_contexts_that_keep_values_are_plain_calls(context: Callable[[], Any]) -> None:
    with context(), pytest.raises(RegistryError, match="too bright"):
        Doubled()(HIGH)


def test_a_subclass_of_a_tensor_with_values_is_checked() -> None:
    class Image(Tensor):
        pass

    with pytest.raises(RegistryError, match="too bright"):
        Doubled()(HIGH.as_subclass(Image))


# ---- where it does not -----------------------------------------------------------------------------------------------


def test_symbolic_traces_of_a_parent_go_through_it() -> None:
    traced = fx.symbolic_trace(Parent())
    assert torch.equal(traced(LOW), torch.tensor([[1.5, 2.0], [2.5, 3.0]]))
    assert [node.op for node in traced.graph.nodes] == ["placeholder", "call_function", "call_function", "output"]


def test_a_proxy_deep_in_the_arguments_is_seen() -> None:
    module, tracer = Doubled(), fx.proxy.GraphAppendingTracer(fx.Graph())
    proxy = fx.Proxy(tracer.graph.placeholder("images"), tracer)
    for images, options in [([proxy], None), ((LOW, proxy), None), ([LOW], {"masks": [{"mask": proxy}]})]:
        module(images, options)
        module(images, options=options)
    assert module.calls == 0


def test_fake_tensors_are_not_looked_into() -> None:
    with FakeTensorMode() as mode:
        inside = Doubled()(torch.empty(2, 3))
        assert inside.shape == (2, 3)
    fake = mode.from_tensor(HIGH)
    assert Doubled()([fake])[0].shape == (2, 2)  # the mode is left, the tensor still has no values


def test_make_fx_records_what_forward_does() -> None:
    module = Doubled()
    for mode in ("real", "fake", "symbolic"):
        graph = make_fx(module.__call__, tracing_mode=mode)(LOW)
        assert torch.equal(graph(HIGH), HIGH * 2)
    assert module.calls == 0


@pytest.mark.parametrize("outer", [1, 2])
def test_mapped_and_differentiated_calls_are_not_checked(outer: int) -> None:
    module: Any = Doubled()
    mapped = module
    for _ in range(outer):
        mapped = torch.func.vmap(mapped)
    assert torch.equal(mapped(HIGH), HIGH * 2)
    gradient = torch.func.grad(lambda images: module(images).sum())(HIGH)
    assert torch.equal(gradient, torch.full((2, 2), 2.0))
    jacobian = torch.func.jacrev(module)(HIGH[0])
    assert torch.equal(jacobian, 2 * torch.eye(2))
    assert module.calls == 0


def test_after_a_transform_calls_are_checked_again() -> None:
    module = Doubled()
    torch.func.vmap(module)(HIGH)
    fx.symbolic_trace(Parent())
    make_fx(module.__call__)(LOW)
    with FakeTensorMode():
        module(torch.empty(1))
    with pytest.raises(RegistryError, match="too bright"):
        module(HIGH)
    assert module.calls == 1


# ---- real models -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter() -> nn.Module:
    torch.manual_seed(1)
    return registry.build("lraspp_mnv3_small", overrides={"backbone.width_mult": 0.35}, num_classes=3).eval()


def test_a_segmenter_under_each(segmenter: nn.Module) -> None:
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    expected = segmenter(images)["out"]
    parent = nn.Sequential(segmenter)
    assert torch.allclose(fx.symbolic_trace(parent)(images)["out"], expected)
    assert torch.allclose(make_fx(lambda x: segmenter(x)["out"])(images)(images), expected)
    mapped = torch.func.vmap(lambda x: segmenter(x[None])["out"][0])(images)
    assert torch.allclose(mapped, expected, atol=1e-5)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert segmenter(mode.from_tensor(images))["out"].shape == (2, 3, 32, 48)
    with pytest.raises(RegistryError, match=re.escape("images have 1 channels and the model takes 3")):
        segmenter(images[:, :1])
