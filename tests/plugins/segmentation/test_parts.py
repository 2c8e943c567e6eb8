"""The layers of segmentation models against torchvision's, beyond what keys and outputs show, and other ignored ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import segmentation

import registry

pytestmark = pytest.mark.usefixtures("one_thread")
HEADS = ("lraspp_mnv3_large", "deeplabv3_mnv3_large", "fcn_mnv3_large")


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [child for child in module.modules() if isinstance(child, nn.Conv2d)]


@pytest.mark.parametrize(
    ("overrides", "low", "last"),
    [
        ({}, 40, 960),
        ({"backbone.width_mult": 0.5}, 24, 480),
        ({"backbone": "mobilenet_v3_small", "backbone.dilated": True}, 24, 576),
    ],
)
@pytest.mark.parametrize("name", HEADS)
def test_heads_take_the_channels_of_the_backbones_maps(
    name: str, overrides: dict[str, Any], low: int, last: int
) -> None:
    model: Any = registry.build(name, overrides=overrides, device="meta")
    assert convolutions(model.classifier)[0].in_channels == last
    finer = model.classifier.low_classifier if name.startswith("lraspp") else model.aux_classifier[0]
    assert finer.in_channels == low


@pytest.mark.parametrize("name", HEADS)
def test_every_norm_of_a_head_has_torchs_defaults_and_every_one_of_the_backbone_the_papers(name: str) -> None:
    found = {
        (key.startswith("backbone."), module.eps, module.momentum)
        for key, module in registry.build(name, device="meta").named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    assert found == {(True, 1e-3, 0.01), (False, 1e-5, 0.1)}


def test_dropout_is_torchvisions() -> None:
    with torch.device("meta"):
        theirs = segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
    ours = registry.build("deeplabv3_mnv3_large", device="meta")
    rates = [{key: m.p for key, m in x.named_modules() if isinstance(m, nn.Dropout)} for x in (ours, theirs)]
    assert rates[0] == rates[1] == {"classifier.0.project.3": 0.5, "aux_classifier.3": 0.1}


def test_weights_with_an_auxiliary_head_and_frozen_stages_train_as_torchvisions(tmp_path: Path) -> None:
    theirs = segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours: Any = registry.build(
        "deeplabv3_mnv3_large", weights=tmp_path / "w.pth", overrides={"backbone.trainable_stages": 2}
    )
    opens = [0, 2, 4, 7, 13, 16]  # the layers of MobileNetV3-Large that begin a stage
    for name, parameter in ours.named_parameters():
        part, layer = name.split(".")[:2]
        assert parameter.requires_grad == (part != "backbone" or int(layer) >= opens[-2]), name
    images = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))
    for model in (ours, theirs):
        torch.manual_seed(0)
        model.train()(images)
    expected = theirs.state_dict()
    for key, value in ours.state_dict().items():
        assert torch.equal(value, expected[key]), key  # the statistics of the batch among them


def test_the_ignored_id_is_the_tasks() -> None:
    overrides = {"backbone.width_mult": 0.35, "task.ignore_index": 0, "accepts": ["REG213"]}
    model: Any = registry.build("lraspp_mnv3_small", overrides=overrides, num_classes=3)
    task = registry.default_registry().task(model.spec)
    images, targets = torch.rand(2, 3, 32, 32), torch.ones(2, 32, 32, dtype=torch.int64)
    targets[:, :20] = 0
    losses = task.losses(model, images, targets, model.spec.head)
    logits = model(images)["out"]
    counted = F.log_softmax(logits, 1)[:, 1, 20:]
    assert list(losses) == ["out"]
    assert losses["out"].item() == pytest.approx(-counted.mean().item(), rel=1e-5)
    with pytest.raises(registry.RegistryError) as caught:
        task.losses(model, images, targets.fill_(255), model.spec.head)
    assert str(caught.value) == "mask 0 holds the id 255; ids are 0 to 2, or 0 for pixels that do not count"
