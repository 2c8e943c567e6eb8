"""The segmentation documents against torchvision's builders: keys, outputs, published figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.io import decode_image
from torchvision.models import mobilenet_v3_large, segmentation
from torchvision.models._meta import _VOC_CATEGORIES
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.fcn import FCN, FCNHead
from torchvision.transforms import functional as F

import registry

pytestmark = pytest.mark.usefixtures("one_thread")
NOTHING = {"weights": None, "weights_backbone": None}


def fcn(aux: bool) -> nn.Module:
    """What torchvision's builder would make of its parts, had it one for this backbone."""
    layers = {"16": "out", "4": "aux"} if aux else {"16": "out"}
    body = IntermediateLayerGetter(mobilenet_v3_large(weights=None, dilated=True).features, return_layers=layers)
    model: nn.Module = FCN(body, FCNHead(960, 21), FCNHead(40, 21) if aux else None)
    return model


CASES: dict[str, tuple[str, dict[str, Any], Callable[[], nn.Module], int]] = {
    "lraspp": (
        "lraspp_mnv3_large",
        {},
        lambda: segmentation.lraspp_mobilenet_v3_large(**NOTHING),
        3_221_538,
    ),
    "deeplabv3": (
        "deeplabv3_mnv3_large",
        {},
        lambda: segmentation.deeplabv3_mobilenet_v3_large(**NOTHING, aux_loss=True),
        11_029_328,
    ),
    "deeplabv3 without aux": (
        "deeplabv3_mnv3_large",
        {"head.aux": None},
        lambda: segmentation.deeplabv3_mobilenet_v3_large(**NOTHING, aux_loss=False),
        11_025_477,
    ),
    "fcn": ("fcn_mnv3_large", {}, lambda: fcn(True), 5_054_944),
    "fcn without aux": ("fcn_mnv3_large", {"head.aux": None}, lambda: fcn(False), 5_051_093),
}
each_case = pytest.mark.parametrize("case", CASES)


def spread(model: nn.Module) -> None:
    """Norms whose factors and statistics are all different, so that a wrong order or eps would show."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def batch(shared_data: Path) -> torch.Tensor:
    """Two real photographs, normalised."""
    files = sorted((shared_data / "coco_voc_seg" / "images").iterdir())[:2]
    pictures = [F.resize(decode_image(str(file)), [97, 129], antialias=True) / 255 for file in files]
    return torch.stack([F.normalize(p, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for p in pictures])


@each_case
def test_keys_shapes_order_and_parameters_are_torchvisions(case: str) -> None:
    name, overrides, build, parameters = CASES[case]
    ours = registry.build(name, overrides=overrides, device="meta")
    with torch.device("meta"):
        theirs = build()
    layout = [(key, tuple(value.shape)) for key, value in theirs.state_dict().items()]
    assert [(key, tuple(value.shape)) for key, value in ours.state_dict().items()] == layout
    assert sum(p.numel() for p in ours.parameters()) == parameters


@each_case
def test_outputs_are_bit_equal_and_state_dicts_travel_both_ways(case: str, batch: torch.Tensor) -> None:
    name, overrides, build, _ = CASES[case]
    ours, theirs = registry.build(name, overrides=overrides), build()
    spread(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for training in (False, True):
        torch.manual_seed(0)
        found = ours.train(training)(batch)
        torch.manual_seed(0)
        expected = theirs.train(training)(batch)
        assert list(found) == list(expected)
        for key, logits in expected.items():
            assert logits.shape == (2, 21, 97, 129)
            assert logits.std() > 0
            assert torch.equal(found[key], logits), (training, key)


def test_weights_from_a_file_give_torchvisions_answers(tmp_path: Path, batch: torch.Tensor) -> None:
    theirs = segmentation.lraspp_mobilenet_v3_large(**NOTHING)
    spread(theirs)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = registry.build("lraspp_mnv3_large", weights=tmp_path / "w.pth")
    assert torch.equal(ours.eval()(batch)["out"], theirs.eval()(batch)["out"])


@pytest.mark.parametrize(
    ("name", "enum"),
    [
        ("lraspp_mnv3_large", segmentation.LRASPP_MobileNet_V3_Large_Weights),
        ("deeplabv3_mnv3_large", segmentation.DeepLabV3_MobileNet_V3_Large_Weights),
    ],
)
def test_the_catalog_has_torchvisions_published_figures(name: str, enum: Any) -> None:
    published = enum.COCO_WITH_VOC_LABELS_V1
    spec = registry.load_spec(name)
    weights = spec.weights["COCO_WITH_VOC_LABELS_V1"]
    assert weights.source == f"torchvision:{enum.__name__}.COCO_WITH_VOC_LABELS_V1"
    assert published.url.endswith(f"-{weights.sha256}.pth")
    assert weights.metrics == published.meta["_metrics"]["COCO-val2017-VOC-labels"]
    assert weights.recipe == published.meta["recipe"]
    assert spec.figures.parameters == published.meta["num_params"]
    assert spec.figures.macs == pytest.approx(published.meta["_ops"] * 1e9)
    assert spec.task.image_size() == (520, 520)
    assert registry.default_registry().categories(spec.task) == tuple(_VOC_CATEGORIES)


def test_heads_normalise_with_torchs_defaults_and_the_backbone_as_it_was_trained() -> None:
    model = registry.build("deeplabv3_mnv3_large", device="meta")
    found = {
        name.partition(".")[0]: (module.eps, module.momentum)
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    assert found == {"backbone": (1e-3, 0.01), "classifier": (1e-5, 0.1), "aux_classifier": (1e-5, 0.1)}


@pytest.mark.parametrize(("stages", "first"), [(0, 17), (1, 16), (2, 13), (3, 7), (4, 4), (5, 2), (6, 0)])
def test_stages_begin_with_the_layers_that_yield_the_maps(stages: int, first: int) -> None:
    settings = {"backbone.trainable_stages": stages, "backbone.freeze": "always"}
    if stages == 6:
        model = registry.build("lraspp_mnv3_large", overrides=settings, device="meta")
    else:
        with pytest.warns(registry.RegistryWarning, match="frozen with random weights"):
            model = registry.build("lraspp_mnv3_large", overrides=settings, device="meta")
    for name, parameter in model.named_parameters():
        part, layer = name.split(".")[:2]
        assert parameter.requires_grad == (part == "classifier" or int(layer) >= first), name
