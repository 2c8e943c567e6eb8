"""Every shipped model runs, and is put together from timm's backbone and torchvision's head."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.models.segmentation.lraspp import LRASPPHead

import registry
from registry.weights import read_state_dict
from registry_timm.convert import main

_BACKBONES = {"mobilenetv4_conv_small": (64, 96, 960), "efficientnet_lite0": (40, 112, 320)}


@pytest.mark.parametrize("backbone", _BACKBONES)
@pytest.mark.parametrize("head", ["lraspp", "deeplabv3", "fcn"])
def test_segmentation(head: str, backbone: str) -> None:
    """Parameters are those of timm's extractor and torchvision's head, and a forward yields logits of the image's size."""
    c3, c4, c5 = _BACKBONES[backbone]
    heads: dict[str, list[nn.Module]] = {
        "lraspp": [LRASPPHead(c3, c5, 21, 128)],
        "deeplabv3": [DeepLabHead(c5, 21, (6, 12, 18)), FCNHead(c3, 21)],
        "fcn": [FCNHead(c5, 21), FCNHead(c4, 21)],
    }
    parts = [timm.create_model(backbone, features_only=True, pretrained=False), *heads[head]]
    model = registry.build(f"{head}_{backbone}").eval()
    assert _count(model) == sum(_count(part) for part in parts)
    with torch.no_grad():
        assert model(torch.randn(1, 3, 65, 97))["out"].shape == (1, 21, 65, 97)


@pytest.mark.parametrize("backbone", _BACKBONES)
def test_detection(backbone: str) -> None:
    """A training step has gradients in the last three stages, and a forward yields boxes."""
    torch.manual_seed(0)
    model = registry.build(f"fasterrcnn_{backbone}_320_fpn", overrides={"head.image.min_size": 96})
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[10.0, 10.0, 60.0, 70.0]]), "labels": torch.tensor([3])}
    losses = model([image], [target])
    torch.autograd.backward(list(losses.values()))
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        (result,) = model.eval()([image])
    assert set(result) == {"boxes", "labels", "scores"}


def test_detection_backbone_starts_from_a_classifier(tmp_path: Path) -> None:
    """A converted classifier fills the backbone: norms are frozen with their eps, early stages too."""
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    assert main(["tf_efficientnet_lite0", str(tmp_path / "timm.pth"), str(tmp_path / "ours.safetensors")]) == 0
    model = registry.build(
        "fasterrcnn_efficientnet_lite0_320_fpn",
        overrides={"backbone.model": "tf_efficientnet_lite0"},
        backbone_weights=str(tmp_path / "ours.safetensors"),
    )
    body = model.get_submodule("backbone.body")
    assert torch.equal(body.state_dict()["blocks_6.0.conv_pw.weight"], theirs.state_dict()["blocks.6.0.conv_pw.weight"])
    norm = body.get_submodule("blocks_6.0.bn1")
    assert norm.eps == 1e-3  # TensorFlow's
    assert not list(norm.parameters())
    trained = {name.partition(".")[0] for name, p in body.named_parameters() if p.requires_grad}
    assert trained == {"blocks_2", "blocks_3", "blocks_4", "blocks_5", "blocks_6"}
    assert set(read_state_dict(tmp_path / "ours.safetensors")) >= {"conv_stem.weight", "classifier.bias"}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
