"""The backbones compute what timm's own feature extractors compute, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

import registry
from registry.modules.features import FeatureExtractor
from registry_timm import table
from registry_timm.backbone import build
from registry_timm.specs import TimmSpec

_QUICK = ("mobilenetv4_conv_small", "efficientnet_lite0", "resnet18", "ghostnet_100")
_MODELS = [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in table.models()]


def _key(stage_key: str) -> str:
    """A key of timm's extractor under our name: EfficientNet's and MobileNet's keep their blocks in a container."""
    return stage_key.replace("blocks.", "blocks_", 1) if stage_key.startswith("blocks.") else stage_key


def _pair(spec: TimmSpec, **settings: Any) -> tuple[nn.Module, FeatureExtractor]:
    """timm's extractor and ours, with the same tensors."""
    torch.manual_seed(0)
    theirs = timm.create_model(spec.model, features_only=True, pretrained=False, **settings)
    ours = build(spec)
    ours.load_state_dict({_key(key): tensor for key, tensor in theirs.state_dict().items()}, strict=True)
    return theirs, FeatureExtractor(ours, {feature.name: feature for feature in spec.feature_maps()})


def _assert_equal(theirs: nn.Module, ours: nn.Module, size: tuple[int, int], channels: int = 3) -> None:
    image = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, found = theirs(image), list(ours(image).values())
    assert [tuple(tensor.shape) for tensor in found] == [tuple(tensor.shape) for tensor in wanted]
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", _MODELS)
def test_eval_and_train(name: str) -> None:
    """The same maps from the same tensors, in eval mode and, statistics of the batch included, in training mode."""
    theirs, ours = _pair(TimmSpec(model=name))
    _assert_equal(theirs.eval(), ours.eval(), (97, 64))
    _assert_equal(theirs.train(), ours.train(), (64, 64))
    _assert_equal(theirs.eval(), ours.eval(), (64, 64))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", ["mobilenetv4_conv_small", "efficientnet_lite0", "regnetx_002"])
def test_output_stride(name: str, stride: Any) -> None:
    """Dilation as timm does it."""
    theirs, ours = _pair(TimmSpec(model=name, output_stride=stride), output_stride=stride)
    _assert_equal(theirs.eval(), ours.eval(), (72, 97))


def test_input_channels_and_indices() -> None:
    """`in_channels` and `out_indices` are timm's `in_chans` and `out_indices`; layers after the last map are left out."""
    spec = TimmSpec(model="resnet18", in_channels=5, out_indices=(1, 3))
    theirs = timm.create_model("resnet18", features_only=True, pretrained=False, in_chans=5, out_indices=(1, 3))
    ours = build(spec)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    cut = FeatureExtractor(ours, {feature.name: feature for feature in spec.feature_maps()})
    _assert_equal(theirs.eval(), cut.eval(), (64, 64), channels=5)


def test_stochastic_depth() -> None:
    """`drop_path_rate` draws what timm's draws."""
    spec = TimmSpec(model="efficientnet_lite0", drop_path_rate=0.5)
    theirs, ours = _pair(spec, drop_path_rate=0.5)
    image = torch.randn(4, 3, 64, 64)
    outputs = []
    for model in (theirs, ours):
        torch.manual_seed(3)
        maps = model.train()(image)
        outputs.append(maps[-1] if isinstance(maps, list) else list(maps.values())[-1])
    assert torch.equal(*outputs)
    with torch.no_grad():
        assert not torch.equal(outputs[0], theirs.train()(image)[-1])  # another draw, another answer


def test_frozen_norms_keep_eps_and_answers() -> None:
    """Frozen norms give the same maps in eval mode with the model's own eps, train nothing, and follow no batch."""
    spec = TimmSpec(model="tf_efficientnet_lite0", norm="frozen_batch")
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, pretrained=False)
    ours = build(spec)
    state = {_key(k): v for k, v in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    ours.load_state_dict(state, strict=True)
    cut = FeatureExtractor(ours, {feature.name: feature for feature in spec.feature_maps()})
    _assert_equal(theirs.eval(), cut.train(), (64, 64))
    assert not any("bn" in name for name, _ in ours.named_parameters())


def test_initialised_as_timm_does() -> None:
    """Under one seed the parameters are those that timm's constructor draws."""
    torch.manual_seed(7)
    theirs = timm.create_model("mobilenetv4_conv_small", features_only=True, pretrained=False).state_dict()
    torch.manual_seed(7)
    ours = build(TimmSpec(model="mobilenetv4_conv_small")).state_dict()
    assert all(torch.equal(ours[_key(key)], tensor) for key, tensor in theirs.items())


def test_classifier_equals_timms() -> None:
    """The whole classifier, its tensors those of timm's."""
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    ours = registry.build("tf_efficientnet_lite0").eval()
    ours.load_state_dict({_key(key): tensor for key, tensor in theirs.state_dict().items()}, strict=True)
    image = torch.randn(2, 3, 97, 64)
    with torch.no_grad():
        assert torch.equal(ours(image), theirs(image))


def test_classifier_initialisation() -> None:
    """timm's `_init_weight_goog`: the fan out of a 1x1 convolution is its channels, that of the linear layer its classes."""
    torch.manual_seed(0)
    model = registry.build("tf_efficientnet_lite0", num_classes=400)
    conv, linear = model.get_submodule("conv_head"), model.get_submodule("classifier")
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(linear, nn.Linear)
    assert conv.weight.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)
    assert linear.weight.abs().max().item() == pytest.approx(1 / 20, rel=0.001)
    assert not linear.bias.any()
