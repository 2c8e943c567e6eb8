"""Settings of segmentation that contradict each other, the documents, and which stages train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import registry
from registry import SpecError

pytestmark = pytest.mark.usefixtures("one_thread")

BAD_SETTINGS = [
    (
        "deeplabv3_mnv3_large",
        {"head.norm": {"kind": "group", "groups": 6}, "head.aux": None},
        "REG201: 256 channels do not divide into 6 groups; write 32, which divides every channel count",
    ),
    (
        "deeplabv3_mnv3_large",
        {"head.norm": {"kind": "group", "groups": 8}},
        "REG201: 10 channels do not divide into 8 groups; write 2, which divides every channel count",
    ),
    (
        "deeplabv3_mnv3_large",
        {"head.norm": {"kind": "group", "groups": 256}, "head.aux": None},
        "REG201: each of 256 groups has one channel, and one value of the averaged map is always its mean; "
        "write fewer groups, or more channels",
    ),
    (
        "fcn_mnv3_large",
        {"head.norm": {"kind": "group", "groups": 32}, "head.aux": None},
        "REG201: 240 channels do not divide into 32 groups; write 16, which divides every channel count",
    ),
    (
        "lraspp_mnv3_large",
        {"head.norm": {"kind": "group", "groups": 3}},
        "REG201: 128 channels do not divide into 3 groups; write 32, which divides every channel count",
    ),
    (
        "fcn_mnv3_large",
        {"head.aux.reduction": 64},
        "REG201: the map `c2` has 40 channels, which cannot be reduced 64 times; write at most 40",
    ),
    (
        "lraspp_mnv3_large",
        {"task.preprocessing.std": [0.5]},
        "REG201: `mean` has 3 values and `std` 1; give one of each for every channel",
    ),
    (
        "lraspp_mnv3_large",
        {"task.preprocessing.mean": [0, 0], "task.preprocessing.std": [1, 1]},
        "REG201: pictures have 1 or 3 channels, not 2; give 1 value for grey or 3 for RGB; "
        "a model of more channels is fed tensors",
    ),
]


@pytest.mark.parametrize(("name", "overrides", "text"), BAD_SETTINGS)
def test_contradictions_are_found_before_anything_is_built(name: str, overrides: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        registry.load_spec(name, overrides=overrides)
    assert [f"{d.rule}: {d.message}; {d.suggestion}" for d in caught.value.diagnostics] == [text]


def test_a_backbone_of_another_stride_serves_a_head_made_for_it() -> None:
    settings = {"backbone.dilated": False, "backbone.output_stride": 8, "head.output_stride": 8, "head.low": 4}
    model = registry.build("lraspp_mnv3_small", overrides=settings).eval()
    assert model(torch.rand(1, 3, 40, 24))["out"].shape == (1, 21, 40, 24)


@pytest.mark.parametrize("name", ["lraspp_mnv3_large", "deeplabv3_mnv3_large", "fcn_mnv3_large", "lraspp_mnv3_small"])
def test_the_320_pixel_documents_differ_by_the_size_alone(name: str) -> None:
    large, small = (registry.load_spec(f"{name}{end}").model_dump(mode="json") for end in ("", "_320"))
    assert (large["task"]["preprocessing"].pop("resize"), small["task"]["preprocessing"].pop("resize")) == (520, 320)
    for key in ("task", "backbone", "head", "default_weights", "backbone_weights"):
        assert large[key] == small[key], key
    sources = [[(entry["source"], entry["sha256"]) for entry in spec["weights"].values()] for spec in (large, small)]
    assert sources[0] == sources[1]


@pytest.mark.parametrize("alias", ["lraspp", "deeplabv3", "fcn"])
def test_torchvisions_names_are_aliases(alias: str) -> None:
    assert registry.load_spec(f"{alias}_mobilenet_v3_large").name == f"{alias}_mnv3_large"


@pytest.mark.parametrize("name", ["fcn_mnv3_large", "lraspp_mnv3_small"])
def test_what_was_never_released_has_no_weights(name: str) -> None:
    spec = registry.load_spec(name)
    assert (spec.weights, spec.default_weights) == ({}, None)


# the layers of MobileNetV3-Small that open its stages: 0 (stem), 1, 2, 4, 9, and 12, the last convolution
@pytest.mark.parametrize(("stages", "first"), [(0, 13), (1, 12), (2, 9), (3, 4), (4, 2), (5, 1), (6, 0)])
def test_stages_of_a_model_with_weights_are_frozen(stages: int, first: int, tmp_path: Path) -> None:
    torch.save(registry.build("lraspp_mnv3_small").state_dict(), tmp_path / "w.pth")
    model = registry.build(
        "lraspp_mnv3_small", weights=tmp_path / "w.pth", overrides={"backbone.trainable_stages": stages}
    )
    for name, parameter in model.named_parameters():
        part, layer = name.split(".")[:2]
        assert parameter.requires_grad == (part == "classifier" or int(layer) >= first), name


@pytest.mark.parametrize("name", ["lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large"])
def test_a_norm_is_that_of_every_layer_of_the_heads(name: str) -> None:
    model = registry.build(name, overrides={"head.norm": {"kind": "group", "groups": 2}}, device="meta")
    heads = [module for key, module in model.named_modules() if not key.startswith("backbone")]
    assert any(isinstance(module, nn.GroupNorm) and module.num_groups == 2 for module in heads)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in heads)


@pytest.mark.parametrize(
    "name", ["lraspp_mnv3_large", "deeplabv3_mnv3_large", "fcn_mnv3_large", "ssdlite320_mnv3_large"]
)
def test_whether_weights_are_loaded_decides_about_backbones_only(name: str) -> None:
    """A head's norm that meant one thing without weights and another with them would never be settled."""
    with pytest.raises(registry.SpecError) as caught:
        registry.load_spec(name, overrides={"head.norm": "auto"})
    assert [(d.rule, d.message) for d in caught.value.diagnostics] == [("REG105", "`auto` is none of the choices")]
    registry.load_spec(name, overrides={"backbone.norm": "auto"})
