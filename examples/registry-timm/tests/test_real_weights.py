"""EfficientNet-Lite0 with real ImageNet weights: the same answers as timm's own model, and right ones."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

import registry
from registry.errors import WeightsError
from registry.weights import read_state_dict
from registry_timm.convert import converted, from_efficientnet_pytorch, main

_MODEL = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def weights(lite0_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution's file, converted as a user does it."""
    target = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    assert main([_MODEL, str(lite0_file), str(target)]) == 0
    return target


@pytest.fixture(scope="module")
def theirs(lite0_file: Path) -> torch.nn.Module:
    """timm's own classifier with the same tensors, paired by their order in both state dicts."""
    model = timm.create_model(_MODEL, pretrained=False)
    # both list a block's convolutions each before its norm
    model.load_state_dict(
        dict(zip(model.state_dict(), torch.load(lite0_file, weights_only=True).values(), strict=True))
    )
    return model.eval()


def test_names_pair_tensors_as_their_order_does(lite0_file: Path, theirs: torch.nn.Module) -> None:
    """Mapping by name, and pairing by order, agree on all 296 tensors."""
    renamed = from_efficientnet_pytorch(read_state_dict(lite0_file), timm.create_model(_MODEL, pretrained=False))
    expected = theirs.state_dict()
    assert set(renamed) == set(expected)
    assert all(torch.equal(renamed[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("step", "least"),
    [
        pytest.param(4, 22, id="one photo of each kind"),
        pytest.param(1, 90, id="every photo", marks=pytest.mark.slow),
    ],
)
def test_names_photos_right(step: int, least: int, weights: Path, theirs: torch.nn.Module, photos: Path) -> None:
    """Logits equal timm's bit for bit on every photo, and the first guess is right for so many of the 128 or 32."""
    model = registry.build(_MODEL, weights=str(weights)).eval()
    task = registry.default_registry().task(registry.load_spec(_MODEL))
    rows = list(csv.DictReader((photos / "labels.csv").open(encoding="utf-8")))[::step]
    hits = 0
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        batch = torch.stack([task.preprocess(_picture(photos / "images" / row["file"])) for row in part])
        with torch.no_grad():
            logits, expected = model(batch), theirs(batch)
        assert torch.equal(logits, expected)
        hits += sum(int(i) == int(row["index"]) for i, row in zip(logits.argmax(1), part, strict=True))
    assert hits >= least


def test_preprocessing_is_timms(photos: Path) -> None:
    """timm's own transform for evaluation, at the mean and deviation of these weights."""
    spec = registry.load_spec(_MODEL)
    task = registry.default_registry().task(spec)
    transform = create_transform(
        (3, 224, 224), interpolation="bicubic", crop_pct=0.875, mean=(0.498039,) * 3, std=(0.501961,) * 3
    )
    picture = _picture(photos / "images" / "Leopards_image_0011.jpg")
    torch.testing.assert_close(task.preprocess(picture), transform(picture), rtol=0, atol=1e-6)


def test_file_of_another_model(lite0_file: Path) -> None:
    """A file that lacks tensors is refused with their number."""
    state = dict(timm.create_model("resnet18", pretrained=False).state_dict())
    state.pop("layer1.0.conv1.weight")
    with pytest.raises(
        WeightsError, match=r"^x\.pth lacks 1 tensors of timm's `resnet18`, the first is `layer1.0.conv1"
    ):
        converted("resnet18", state, "x.pth")


def _picture(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")
