"""Detectors are torchvision's: structure, initialisation, arithmetic, losses, frozen stages, figures and class names."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    Batch = tuple[list[Tensor], list[dict[str, Tensor]]]

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

detection = torchvision.models.detection
FrozenBatchNorm2d = torchvision.ops.FrozenBatchNorm2d

LARGE, LOW, SSDLITE = "fasterrcnn_mnv3_large_fpn", "fasterrcnn_mnv3_large_320_fpn", "ssdlite320_mnv3_large"
BUILDERS = {
    LARGE: "fasterrcnn_mobilenet_v3_large_fpn",
    LOW: "fasterrcnn_mobilenet_v3_large_320_fpn",
    SSDLITE: "ssdlite320_mobilenet_v3_large",
}
ENUMS = {
    LARGE: "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
    LOW: "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
    SSDLITE: "SSDLite320_MobileNet_V3_Large_Weights",
}
# first digits of the file's SHA-256, box AP, multiply-adds, parameters: frozen norms count none
PUBLISHED = {
    LARGE: ("fb6a3cc7", 32.8, 4.494e9, 19_386_354),
    LOW: ("907ea3f9", 22.8, 0.719e9, 19_386_354),
    SSDLITE: ("a79551df", 21.3, 0.583e9, 3_440_060),
}
PLAIN = {LARGE: 19_410_754, LOW: 19_410_754, SSDLITE: 3_440_060}
STAGES = {"mobilenet_v3_large": (None, 16, 13, 7, 4, 2, 0), "mobilenet_v3_small": (None, 12, 9, 4, 2, 1, 0)}
# few pixels and proposals, to save time: as overrides of ours and as arguments of theirs
SMALL_IMAGES = {"head.image.min_size": 96, "head.image.max_size": 128}
FEW_PROPOSALS = {"head.rpn.post_nms_top_n_test": 60, "head.rpn.post_nms_top_n_train": 200}
ALL_SCORES = {"head.box.score_threshold": 0.0, "head.box.nms_threshold": 0.8}
QUICK = {**SMALL_IMAGES, **FEW_PROPOSALS, **ALL_SCORES}
THEIR_QUICK = {
    "min_size": 96,
    "max_size": 128,
    "rpn_post_nms_top_n_test": 60,
    "rpn_post_nms_top_n_train": 200,
    "box_score_thresh": 0.0,
    "box_nms_thresh": 0.8,
}
RETINANET = {
    "type": "retinanet",
    "num_classes": 91,
    "image": {"min_size": 96, "max_size": 128},
    "pyramid": {"levels": [8, 16, 32], "extra": "p6p7"},
    "anchors": {"sizes": [[16, 20], [32, 40], [64, 80], [128, 160], [256, 320]]},
    "score_threshold": 0.0,
}
UNPUBLISHED = {"weights": None, "default_weights": None, "backbone_weights": None}


@dataclass(frozen=True)
class Case:
    """A document with overrides, and the same model by torchvision's means."""

    document: str
    overrides: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    kind: str = "builder"

    def __str__(self) -> str:
        return f"{self.document}-{self.kind}"


def ours(case: Case, **options: Any) -> nn.Module:
    return registry.build(case.document, overrides=case.overrides, **options)


def theirs(case: Case) -> nn.Module:
    if case.kind == "frozen":
        return frozen_faster_rcnn(**case.arguments)
    if case.kind == "retinanet":
        return retinanet(**case.arguments)
    return getattr(detection, BUILDERS[case.document])(weights=None, weights_backbone=None, **case.arguments)


def on_meta(case: Case) -> nn.Module:
    with torch.device("meta"):
        return theirs(case)


def body(name: str, norm: Any, trainable: int, **options: Any) -> nn.Module:
    return detection.backbone_utils.mobilenet_backbone(
        backbone_name=name, weights=None, fpn=True, norm_layer=norm, trainable_layers=trainable, **options
    )


def frozen_faster_rcnn(**arguments: Any) -> nn.Module:
    """What torchvision's builder makes of weights, which cannot be fetched here."""
    anchors = detection.rpn.AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    backbone = body("mobilenet_v3_large", FrozenBatchNorm2d, 3)
    return detection.FasterRCNN(backbone, 91, rpn_anchor_generator=anchors, rpn_score_thresh=0.05, **arguments)


def retinanet(**arguments: Any) -> nn.Module:
    """RetinaNet on MobileNetV3-Small's maps of strides 8, 16 and 32 (the last of each stride: c2, c3, c5)."""
    extra = torchvision.ops.feature_pyramid_network.LastLevelP6P7(256, 256)
    backbone = body("mobilenet_v3_small", torch.nn.BatchNorm2d, 6, returned_layers=[2, 3, 5], extra_blocks=extra)
    anchors = detection.anchor_utils.AnchorGenerator(
        ((16, 20), (32, 40), (64, 80), (128, 160), (256, 320)), ((0.5, 1.0, 2.0),) * 5
    )
    return detection.RetinaNet(backbone, 91, anchor_generator=anchors, **arguments)


FROZEN = Case(LARGE, {**QUICK, "backbone.norm": "frozen_batch"}, THEIR_QUICK, "frozen")
ON_RETINANET = Case(
    LARGE,
    {
        "head": RETINANET,
        "backbone": "mobilenet_v3_small",
        "backbone.norm": "batch",
        "accepts": None,
        **UNPUBLISHED,
    },
    {"min_size": 96, "max_size": 128, "score_thresh": 0.0},
    "retinanet",
)
BUILT = [Case(LARGE), Case(LOW), Case(SSDLITE)]
COMPUTED = [
    Case(LARGE, QUICK, THEIR_QUICK),
    Case(LOW, QUICK, THEIR_QUICK),
    Case(SSDLITE),
    FROZEN,
    ON_RETINANET,
]
each_builder = pytest.mark.parametrize("case", BUILT, ids=str)
each_kind = pytest.mark.parametrize("case", [*BUILT, FROZEN, ON_RETINANET], ids=str)
each_case = pytest.mark.parametrize("case", COMPUTED, ids=str)


def layout(model: nn.Module) -> list[tuple[str, tuple[int, ...], str]]:
    return [(key, tuple(tensor.shape), str(tensor.dtype)) for key, tensor in model.state_dict().items()]


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def enliven(model: nn.Module, images: list[Tensor]) -> None:
    """Batch norms get factors and statistics of real images, heads larger weights, so that answers are not all alike."""
    generator = torch.Generator().manual_seed(5)
    norms = [m for m in model.modules() if isinstance(m, (torch.nn.BatchNorm2d, FrozenBatchNorm2d))]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.2, 0.2, generator=generator)
        if isinstance(norm, FrozenBatchNorm2d):
            norm.running_mean.uniform_(-0.2, 0.2, generator=generator)
            norm.running_var.uniform_(0.5, 1.5, generator=generator)
    learning = [norm for norm in norms if isinstance(norm, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in learning]
    for norm in learning:
        norm.momentum = None  # the plain average, of one batch
    with torch.no_grad():
        batch, _ = model.transform(images)
        model.train().backbone(batch.tensors)
    for norm, momentum in zip(learning, momenta, strict=True):
        norm.momentum = momentum
    for name, parameter in model.named_parameters():
        if name.endswith(("cls_score.weight", "bbox_pred.weight", "cls_logits.weight", "bbox_reg.weight")):
            parameter.data *= 5


@pytest.fixture(scope="module")
def pairs(photos: Batch) -> Any:
    """Both implementations of a case with one state, far from a fresh one; callers get copies."""
    kept: dict[str, tuple[nn.Module, nn.Module]] = {}

    def pair(case: Case) -> tuple[nn.Module, nn.Module]:
        if str(case) not in kept:
            torch.manual_seed(2)
            expected = theirs(case)
            enliven(expected, photos[0])
            found = ours(case)
            found.load_state_dict(expected.state_dict(), strict=True)
            kept[str(case)] = found, expected
        return copy.deepcopy(kept[str(case)])

    return pair


def assert_same_detections(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys() == {"boxes", "labels", "scores"}
        for key, tensor in other.items():
            assert torch.equal(one[key], tensor), key


def assert_worth_comparing(found: list[dict[str, Tensor]]) -> None:
    for one in found:
        assert len(one["boxes"]) >= 50
        assert len(one["labels"].unique()) >= 5
        assert len(one["scores"].unique()) >= 25
        assert len(one["boxes"].unique(dim=0)) >= 20
    assert not torch.equal(found[0]["scores"], found[1]["scores"])


# structure and settings


@each_kind
def test_the_state_dict_has_torchvisions_keys_shapes_and_order(case: Case) -> None:
    found, expected = layout(ours(case, device="meta")), layout(on_meta(case))
    assert found == expected
    assert len(found) > 250


def plain_settings(model: nn.Module) -> dict[str, Any]:
    """Every number that a part of the model holds: thresholds, counts, sizes, means."""
    return {
        f"{name}.{key}": value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, (int, float, str, tuple, list, dict)) and not key.startswith("_") and key != "cell_anchors"
    }


@each_kind
def test_every_setting_inside_the_model_is_torchvisions(case: Case) -> None:
    found, expected = plain_settings(ours(case, device="meta")), plain_settings(on_meta(case))
    differ = {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
    own = {".in_channels", ".first_label", ".last_label", ".strides"}
    # torchvision looks for four levels, of which two are there; the backbone is compared by its outputs
    pooled = {"roi_heads.box_roi_pool.featmap_names"}
    assert {key for key in differ if not key.startswith("backbone.")} <= own | pooled
    assert len(expected) > 100


@each_kind
def test_proposals_and_anchors_have_torchvisions_numbers(case: Case) -> None:
    found, expected = ours(case, device="meta"), on_meta(case)
    if hasattr(expected, "rpn"):
        for key in ("_pre_nms_top_n", "_post_nms_top_n", "nms_thresh", "score_thresh", "min_size"):
            assert getattr(found.rpn, key) == getattr(expected.rpn, key), key
        left, right = found.rpn.anchor_generator.cell_anchors, expected.rpn.anchor_generator.cell_anchors
    elif hasattr(expected.anchor_generator, "_wh_pairs"):
        left, right = found.anchor_generator._wh_pairs, expected.anchor_generator._wh_pairs
    else:
        left, right = found.anchor_generator.cell_anchors, expected.anchor_generator.cell_anchors
    assert len(left) == len(right)
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@each_case
def test_state_dicts_load_strictly_both_ways(case: Case, pairs: Any) -> None:
    found, expected = pairs(case)  # ours was loaded from theirs
    changed = {key: tensor + 1 for key, tensor in found.state_dict().items()}
    expected.load_state_dict(changed, strict=True)
    found.load_state_dict(expected.state_dict(), strict=True)
    assert all(torch.equal(tensor, changed[key]) for key, tensor in found.state_dict().items())


# initialisation


@each_builder
def test_fresh_weights_have_torchvisions_distributions(case: Case) -> None:
    torch.manual_seed(0)
    found, expected = dict(ours(case).named_parameters()), dict(theirs(case).named_parameters())
    assert list(found) == list(expected)
    compared = 0
    for key, parameter in expected.items():
        if float(parameter.detach().std(correction=0)) < 1e-9:
            assert torch.equal(found[key], parameter), key
        elif parameter.numel() >= 2000:
            deviations = float(found[key].detach().std()), float(parameter.detach().std())
            assert deviations[0] == pytest.approx(deviations[1], rel=0.1), key
            assert abs(float(found[key].detach().mean())) < deviations[0] / 10, key
            compared += 1
    assert compared >= 40


# arithmetic


@each_case
def test_detections_are_bit_equal_to_torchvisions(case: Case, pairs: Any, photos: Batch) -> None:
    found, expected = (model.eval() for model in pairs(case))
    with torch.inference_mode():
        answer = found(photos[0])
        assert_same_detections(answer, expected(photos[0]))
    assert_worth_comparing(answer)


@each_case
def test_losses_and_gradients_are_bit_equal_to_torchvisions(case: Case, pairs: Any, photos: Batch) -> None:
    images, targets = photos
    losses = []
    models = [model.train() for model in pairs(case)]
    for model in models:
        torch.manual_seed(7)
        losses.append(model(images, copy.deepcopy(targets)))
        sum(losses[-1].values()).backward()
    found, expected = losses
    assert list(found) == list(expected)
    for key, loss in expected.items():
        assert torch.equal(found[key], loss), key
        assert float(loss.detach()) > 1e-4, key
        assert bool(loss.isfinite()), key
    left, right = (dict(model.named_parameters()) for model in models)
    for key, parameter in right.items():
        if parameter.requires_grad and parameter.grad is not None:
            assert torch.equal(left[key].grad, parameter.grad), key


def test_a_frozen_norm_in_the_middle_of_training_keeps_its_statistics(pairs: Any, photos: Batch) -> None:
    found, _ = pairs(FROZEN)
    before = copy.deepcopy(found.state_dict())
    found.train()(*photos)
    assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())


# weights from a file


@pytest.mark.parametrize("counters", [False, True], ids=["frozen", "trained with plain norms"])
def test_weights_from_a_file_give_torchvisions_detections(
    counters: bool, pairs: Any, photos: Batch, tmp_path: Path
) -> None:
    _, expected = pairs(FROZEN)
    state = expected.state_dict()
    if counters:  # batch norm's counters, which a frozen norm has no place for
        state |= {
            f"{key.removesuffix('running_mean')}num_batches_tracked": torch.tensor(9)
            for key in list(state)
            if key.endswith("running_mean")
        }
    torch.save(state, tmp_path / "weights.pth")
    found = registry.build(LARGE, weights=tmp_path / "weights.pth", overrides=QUICK)
    norms = [m for m in found.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) == 46
    assert {norm.eps for norm in norms} == {1e-5}
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in found.modules())
    left, right = ([n for n, p in model.named_parameters() if p.requires_grad] for model in (found, expected))
    assert left == right
    with torch.inference_mode():
        answer = found.eval()(photos[0])
        assert_same_detections(answer, expected.eval()(photos[0]))
    assert_worth_comparing(answer)


def test_ssdlites_weights_from_a_file_give_torchvisions_detections(pairs: Any, photos: Batch, tmp_path: Path) -> None:
    _, expected = pairs(Case(SSDLITE))
    torch.save(expected.state_dict(), tmp_path / "weights.pth")
    found = registry.build(SSDLITE, weights=tmp_path / "weights.pth")
    assert all(parameter.requires_grad for parameter in found.parameters())
    with torch.inference_mode():
        answer = found.eval()(photos[0])
        assert_same_detections(answer, expected.eval()(photos[0]))
    assert_worth_comparing(answer)


def test_a_detectors_backbone_starts_from_a_classifiers_weights(photos: Batch, tmp_path: Path) -> None:
    classifier = torchvision.models.mobilenet_v3_large(norm_layer=FrozenBatchNorm2d)
    enliven_classifier = torch.Generator().manual_seed(1)
    for module in classifier.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_var.uniform_(0.5, 1.5, generator=enliven_classifier)
    torch.save(classifier.state_dict(), tmp_path / "classifier.pth")
    found = registry.build(LARGE, backbone_weights=tmp_path / "classifier.pth")
    state = found.state_dict()
    for key, tensor in classifier.features.state_dict().items():
        assert torch.equal(state[f"backbone.body.{key}"], tensor), key
    assert sum(isinstance(m, FrozenBatchNorm2d) for m in found.modules()) == 46
    frozen = {name.split(".")[2] for name, p in found.named_parameters() if not p.requires_grad}
    assert frozen == {str(index) for index in range(7)}  # three stages are trained: layers 7 and up


# frozen stages


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("stages", range(7))
def test_the_last_stages_are_trained_as_in_torchvision(name: str, stages: int) -> None:
    with torch.device("meta"):
        expected = body(name, FrozenBatchNorm2d, stages)
    settings = {"trainable_stages": stages, "freeze": "always", "norm": "frozen_batch"}
    overrides = {"backbone": name, **{f"backbone.{key}": value for key, value in settings.items()}}
    if stages == 6:
        found = registry.build(LARGE, overrides=overrides, device="meta")
    else:
        with pytest.warns(registry.RegistryWarning, match="frozen with random weights"):
            found = registry.build(LARGE, overrides=overrides, device="meta")
    trained = [n for n, p in expected.named_parameters() if p.requires_grad]
    assert [n for n, p in found.backbone.named_parameters() if p.requires_grad] == trained
    layers = {int(n.split(".")[1]) for n in trained if n.startswith("body.")}
    assert min(layers, default=None) == STAGES[name][stages]
    assert all(p.requires_grad for n, p in found.named_parameters() if not n.startswith("backbone.body."))


@pytest.mark.parametrize("document", [LARGE, LOW, SSDLITE])
def test_random_weights_are_trained_throughout_with_plain_norms(document: str) -> None:
    model = registry.build(document, device="meta")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(isinstance(m, FrozenBatchNorm2d) for m in model.modules())
    norms = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert norms == ({(0.001, 0.03)} if document == SSDLITE else {(1e-5, 0.1)})


# published figures, weights, class names


@pytest.mark.parametrize("document", PUBLISHED)
def test_the_documents_figures_are_torchvisions(document: str) -> None:
    digits, box_map, macs, parameters = PUBLISHED[document]
    spec = registry.load_spec(document)
    enum = getattr(detection, ENUMS[document])
    published = enum.COCO_V1
    assert set(spec.weights) == set(enum.__members__) - {"DEFAULT"} == {"COCO_V1"}
    assert spec.default_weights == enum.DEFAULT.name == "COCO_V1"
    weights = spec.weights["COCO_V1"]
    assert weights.source == f"torchvision:{ENUMS[document]}.COCO_V1"
    assert weights.sha256 == digits
    assert published.url.endswith(f"-{digits}.pth")
    assert weights.metrics == published.meta["_metrics"]["COCO-val2017"] == {"box_map": box_map}
    assert weights.recipe == published.meta["recipe"]
    assert spec.figures.parameters == published.meta["num_params"] == parameters
    assert spec.figures.macs == published.meta["_ops"] * 1e9 == pytest.approx(macs)


@pytest.mark.parametrize("document", PUBLISHED)
def test_parameters_are_as_many_as_published_with_frozen_norms_and_as_torchvisions_without(document: str) -> None:
    assert count(registry.build(document, device="meta")) == count(on_meta(Case(document))) == PLAIN[document]
    if document != SSDLITE:
        overrides = {"backbone.norm": "frozen_batch"}
        assert count(registry.build(document, overrides=overrides, device="meta")) == PUBLISHED[document][3]


@pytest.mark.parametrize("document", PUBLISHED)
def test_the_class_names_are_torchvisions(document: str) -> None:
    spec = registry.load_spec(document)
    names = registry.default_registry().categories(spec.task)
    assert names is not None
    assert list(names) == getattr(detection, ENUMS[document]).COCO_V1.meta["categories"]
    assert len(names) == spec.head.num_classes == 91
    assert names[0] == "__background__"


@pytest.mark.parametrize("document", [LARGE, LOW])
def test_the_backbones_own_weights_are_those_of_torchvisions_builder(document: str) -> None:
    start = registry.load_spec(document).backbone_weights
    assert start is not None
    enum = torchvision.models.MobileNet_V3_Large_Weights
    assert start.source == "torchvision:MobileNet_V3_Large_Weights.IMAGENET1K_V1"
    assert enum.IMAGENET1K_V1.url.endswith(f"-{start.sha256}.pth")


def test_norms_of_a_pyramid_are_torchvisions() -> None:
    norm = partial(torch.nn.BatchNorm2d, eps=1e-4, momentum=0.2)
    with torch.device("meta"):
        expected = torchvision.ops.FeaturePyramidNetwork([160, 960], 256, norm_layer=norm)
    overrides = {"head.pyramid": {"norm": {"kind": "batch", "eps": 1e-4, "momentum": 0.2}, "extra": None}}
    sizes = [[32, 64, 128, 256, 512]] * 2
    found = registry.build(LARGE, overrides={**overrides, "head.anchors.sizes": sizes}, device="meta")
    assert layout(found.backbone.fpn) == layout(expected)
    assert {(m.eps, m.momentum) for m in found.backbone.fpn.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {
        (1e-4, 0.2)
    }
