"""What the documents publish is what torchvision's enums say, and what its builders build."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import registry
from registry.specs import FrozenBatchNormSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

# name to torchvision's enum
CLASSIFIERS = {
    "resnet18": "ResNet18_Weights",
    "resnet50": "ResNet50_Weights",
    "mobilenet_v2": "MobileNet_V2_Weights",
}
DETECTORS = {
    "fasterrcnn_resnet50_fpn": "FasterRCNN_ResNet50_FPN_Weights",
    "retinanet_resnet50_fpn": "RetinaNet_ResNet50_FPN_Weights",
}
SEGMENTERS = {
    "deeplabv3_resnet50": "DeepLabV3_ResNet50_Weights",
    "fcn_resnet50": "FCN_ResNet50_Weights",
}
DOCUMENTS = {**CLASSIFIERS, **DETECTORS, **SEGMENTERS}
ENTRIES = [
    (name, entry)
    for name, enum in DOCUMENTS.items()
    for entry in torchvision.models.get_weight(f"{enum}.DEFAULT").__class__.__members__
    if entry != "DEFAULT"
]
every_entry = pytest.mark.parametrize(("name", "entry"), ENTRIES)
every_detector = pytest.mark.parametrize("name", DETECTORS)
every_segmenter = pytest.mark.parametrize("name", SEGMENTERS)


def weights_of(name: str, entry: str) -> Any:
    return torchvision.models.get_weight(f"{DOCUMENTS[name]}.{entry}")


def builder_of(name: str) -> Any:
    return torchvision.models.get_model_builder(name)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def layout(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(key, tuple(tensor.shape)) for key, tensor in model.state_dict().items()]


def noise(*shape: int, seed: int = 11) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# figures


@every_entry
def test_weights_carry_what_the_enum_says(name: str, entry: str) -> None:
    theirs, ours = weights_of(name, entry), registry.load_spec(name).weights[entry]
    (metrics,) = theirs.meta["_metrics"].values()
    assert ours.source == f"torchvision:{DOCUMENTS[name]}.{entry}"
    assert theirs.url.endswith(f"-{ours.sha256}.pth")
    assert ours.metrics == metrics
    assert ours.recipe == theirs.meta["recipe"]
    assert ours.license == "BSD-3-Clause"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_entry_is_listed_and_the_default_is_theirs(name: str) -> None:
    spec = registry.load_spec(name)
    assert set(spec.weights) == {entry for owner, entry in ENTRIES if owner == name}
    assert spec.default_weights == weights_of(name, "DEFAULT").name


@every_entry
def test_figures_are_the_enums(name: str, entry: str) -> None:
    meta, figures = weights_of(name, entry).meta, registry.load_spec(name).figures
    assert figures.parameters == meta["num_params"]
    assert figures.macs == pytest.approx(meta["_ops"] * 1e9, rel=1e-12)


@every_entry
def test_categories_are_the_enums(name: str, entry: str) -> None:
    spec = registry.load_spec(name, weights=entry)
    assert list(registry.default_registry().categories(spec.task) or ()) == weights_of(name, entry).meta["categories"]


@every_entry
def test_a_network_with_these_weights_has_the_published_number_of_parameters(name: str, entry: str) -> None:
    spec = registry.load_spec(name, weights=entry).settled(pretrained=True)
    spec = spec.model_copy(update={"backbone": spec.backbone.model_copy(update={"trainable_stages": None})})
    assert count(registry.build(spec, device="meta")) == weights_of(name, entry).meta["num_params"]


@pytest.mark.parametrize("name", [*CLASSIFIERS, *SEGMENTERS])
def test_networks_have_the_published_number_of_multiply_adds(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = registry.build(name, device="meta").eval()
    side = 224 if name in CLASSIFIERS else 520
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.empty(1, 3, side, side, device="meta"))
    assert round(counter.get_total_flops() / 2e9, 3) == weights_of(name, "DEFAULT").meta["_ops"]


@pytest.mark.parametrize(("name", "entry"), [(name, entry) for name, entry in ENTRIES if name in CLASSIFIERS])
def test_preprocessing_is_the_enums(name: str, entry: str) -> None:
    theirs = weights_of(name, entry).transforms()
    ours = registry.load_spec(name, weights=entry).task.preprocessing
    assert ([ours.resize], [ours.crop]) == (theirs.resize_size, theirs.crop_size)
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert (ours.interpolation, ours.antialias) == (theirs.interpolation.value, theirs.antialias)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_references_name_the_module_that_builds_it(name: str) -> None:
    module = builder_of(name).__module__
    titles = {reference.title: reference.url for reference in registry.load_spec(name).references}
    assert titles[module] == f"https://github.com/pytorch/vision/blob/main/{module.replace('.', '/')}.py"
    assert any(url.startswith("https://arxiv.org/abs/") for url in titles.values())


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - set(CLASSIFIERS)))
def test_the_backbone_starts_from_what_torchvisions_builder_takes(name: str) -> None:
    theirs = inspect.signature(builder_of(name)).parameters["weights_backbone"].default
    ours = registry.load_spec(name).backbone_weights
    assert ours is not None
    assert ours.source == f"torchvision:{type(theirs).__name__}.{theirs.name}"
    assert re.findall(r"-([0-9a-f]{8})\.pth$", theirs.url) == [ours.sha256]


@every_segmenter
def test_preprocessing_of_segmentation_is_the_enums(name: str) -> None:
    theirs = weights_of(name, "DEFAULT").transforms()
    ours = registry.load_spec(name, weights="default").task.preprocessing
    assert [ours.resize] == theirs.resize_size
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert (ours.interpolation, ours.antialias) == (theirs.interpolation.value, theirs.antialias)


# detection


def detector(name: str, **settings: Any) -> nn.Module:
    model: nn.Module = builder_of(name)(weights=None, weights_backbone=None, **settings)
    return model


@every_detector
@pytest.mark.parametrize("classes", [91, 3])
def test_detectors_have_torchvisions_keys_and_shapes(name: str, classes: int) -> None:
    with torch.device("meta"):
        expected = detector(name, num_classes=classes)
    assert layout(registry.build(name, num_classes=classes, device="meta")) == layout(expected)


@every_detector
def test_detectors_have_torchvisions_settings(name: str) -> None:
    """Every plain attribute of the transform, the pyramid, the anchors and the heads."""
    with torch.device("meta"):
        expected = detector(name)
    found = registry.build(name, device="meta")
    plain, internal = (int, float, str, tuple, list, dict, type(None)), vars(torch.nn.Module())
    compared = 0
    for path, theirs in expected.named_modules():
        if path in ("", "backbone") or path.startswith("backbone.body"):
            continue
        ours = found.get_submodule(path)
        assert isinstance(ours, type(theirs)), path
        for key, value in vars(theirs).items():
            # `cell_anchors` are computed from what is compared beside them
            if isinstance(value, plain) and key not in internal and key != "cell_anchors":
                assert vars(ours)[key] == value, f"{path}.{key}"
                compared += 1
        for part in ("box_roi_pool", "proposal_matcher", "fg_bg_sampler", "box_coder"):
            if part in vars(theirs):
                assert vars(vars(ours)[part]) == vars(vars(theirs)[part]), f"{path}.{part}"
    for key in ("score_thresh", "nms_thresh", "detections_per_img", "topk_candidates"):
        assert getattr(found, key, None) == getattr(expected, key, None)
    assert compared > 100


@every_detector
def test_detectors_yield_torchvisions_boxes_bit_for_bit(name: str) -> None:
    # every box counts, but few are pooled, which takes long
    if name.startswith("faster"):
        settings = {"box_score_thresh": 0.0, "rpn_post_nms_top_n_test": 50}
        overrides = {"head.box.score_threshold": 0.0, "head.rpn.post_nms_top_n_test": 50}
    else:
        settings, overrides = {"score_thresh": 0.0}, {"head.score_threshold": 0.0}
    expected = detector(name, num_classes=4, min_size=96, max_size=128, **settings)
    overrides |= {"head.image.min_size": 96, "head.image.max_size": 128}
    found = registry.build(name, num_classes=4, overrides=overrides)
    found.load_state_dict(expected.state_dict(), strict=True)
    image = noise(3, 60, 75)
    with torch.no_grad():
        (ours,), (theirs,) = found.eval()([image]), expected.eval()([image])
    assert len(theirs["boxes"]) > 10
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@every_detector
def test_published_weights_of_detectors_divide_by_the_bare_deviation(name: str) -> None:
    """torchvision calls `overwrite_eps(model, 0.0)` after loading these weights."""
    from torchvision.ops import FrozenBatchNorm2d

    spec = registry.load_spec(name, weights="COCO_V1")
    assert spec.backbone.norm == FrozenBatchNormSpec(eps=0.0)
    with pytest.warns(registry.RegistryWarning, match="frozen with random weights"):
        model = registry.build(spec, overrides={"backbone.freeze": "always"}, device="meta")
    assert [m.eps for m in model.modules() if isinstance(m, FrozenBatchNorm2d)] == [0.0] * 53


@every_detector
def test_a_training_from_a_classifier_freezes_norms_with_the_usual_eps_and_the_first_stages(name: str) -> None:
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor

    backbone = registry.load_spec(name).settled(pretrained=True).backbone
    assert backbone.norm == FrozenBatchNormSpec(eps=1e-5)
    with torch.device("meta"):
        body = _resnet_fpn_extractor(torchvision.models.resnet50(), 3).body
    with pytest.warns(registry.RegistryWarning, match="the first 2 of the backbone's 5 stages are frozen"):
        model = registry.build(name, overrides={"backbone.freeze": "always"}, device="meta")
    trained = {key for key, p in model.get_submodule("backbone.body").named_parameters() if p.requires_grad}
    assert trained == {key for key, p in body.named_parameters() if p.requires_grad}


# segmentation


def segmenter(name: str, *, aux: bool, **settings: Any) -> nn.Module:
    model: nn.Module = builder_of(name)(weights=None, weights_backbone=None, aux_loss=aux, **settings)
    return model


@every_segmenter
@pytest.mark.parametrize("aux", [True, False])
def test_segmenters_have_torchvisions_keys_and_shapes(name: str, aux: bool) -> None:
    overrides = {} if aux else {"head.aux": None}
    with torch.device("meta"):
        expected = segmenter(name, aux=aux, num_classes=5)
    assert layout(registry.build(name, num_classes=5, overrides=overrides, device="meta")) == layout(expected)


@every_segmenter
def test_segmenters_yield_torchvisions_maps_bit_for_bit(name: str) -> None:
    expected = segmenter(name, aux=True, num_classes=5)
    found = registry.build(name, num_classes=5, device="meta")
    found.load_state_dict(expected.state_dict(), strict=True, assign=True)
    image = noise(1, 3, 65, 49)
    with torch.no_grad():
        ours, theirs = found.eval()(image), expected.eval()(image)
    assert list(ours) == list(theirs) == ["out", "aux"]
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert theirs["out"].std() > 0.001


@every_segmenter
def test_the_auxiliary_loss_has_the_weight_of_torchvisions_reference_script(name: str) -> None:
    aux = registry.load_spec(name).head.aux
    assert (aux.level, aux.weight) == ("c4", 0.5)
