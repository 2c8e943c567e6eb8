"""Batches in which nothing is to be learned, boxes that say what they are, and calls that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torchvision import tv_tensors  # noqa: E402  # after it is known to be there
from torchvision.models.detection.roi_heads import RoIHeads  # noqa: E402  # likewise

DOCUMENT, SSDLITE = "fasterrcnn_mnv3_small_320_fpn", "ssdlite320_mnv3_large"
TINY = {
    "backbone.width_mult": 0.35,
    "head.image.min_size": 32,
    "head.image.max_size": 64,
    "head.pyramid.out_channels": 8,
    "head.box.hidden_channels": 16,
    "head.box.score_threshold": 0.0,
    "head.rpn.post_nms_top_n_train": 50,
    "head.rpn.post_nms_top_n_test": 50,
}
RETINANET = {
    "type": "retinanet",
    "num_classes": 5,
    "image": {"min_size": 32, "max_size": 64},
    "pyramid": {"levels": [8, 16, 32], "extra": None, "out_channels": 32},
    "anchors": {"sizes": [[8], [16], [32]]},
}


def faster_rcnn(**overrides: Any) -> nn.Module:
    torch.manual_seed(0)
    return registry.build(DOCUMENT, overrides={**TINY, **overrides}, num_classes=5)


def retinanet(**overrides: Any) -> nn.Module:
    changed = {"head": RETINANET, "backbone.width_mult": 0.35, "task.categories": None, **overrides}
    return registry.build(DOCUMENT, overrides=changed)


def ssdlite() -> nn.Module:
    return registry.build(SSDLITE, overrides={"backbone.width_mult": 0.35}, num_classes=5)


HEADS = {"faster_rcnn": faster_rcnn, "retinanet": retinanet, "ssdlite": ssdlite}


@pytest.fixture(scope="module", params=sorted(HEADS))
def any_head(request: pytest.FixtureRequest) -> nn.Module:
    return HEADS[request.param]()


def picture(*shape: int) -> Tensor:
    return torch.rand(*(shape or (3, 40, 60)), generator=torch.Generator().manual_seed(1))


def target(*boxes: tuple[int, int, int, int]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(boxes), dtype=torch.int64),
    }


GOOD = target((1, 2, 30, 20))


# nothing is proposed and nothing is there


def without_proposals(model: nn.Module) -> nn.Module:
    """No score passes 0.05: the sigmoid of -20 is 2e-9."""
    with torch.no_grad():
        model.rpn.head.cls_logits.bias.fill_(-20.0)
    return model


def test_torchvision_loses_to_nan_where_nothing_is_proposed_and_nothing_is_there() -> None:
    theirs = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=5, min_size=64, max_size=96, rpn_score_thresh=0.05
    )
    losses = without_proposals(theirs)([picture(), picture()], [target(), target()])
    assert {key for key, loss in losses.items() if not bool(loss.isfinite())} == {"loss_classifier", "loss_box_reg"}


def test_where_nothing_is_proposed_and_nothing_is_there_the_heads_of_boxes_learn_nothing() -> None:
    model = without_proposals(faster_rcnn())
    losses = model([picture(), picture()], [target(), target()])
    assert (losses["loss_classifier"].item(), losses["loss_box_reg"].item()) == (0.0, 0.0)
    assert 0 <= losses["loss_objectness"].item() < 1e-7  # -log(1 - 2e-9) each
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():  # each has a gradient, as data-parallel training demands
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
    assert all(not bool(p.grad.any()) for p in model.roi_heads.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_scripted_training_learns_nothing_there_either() -> None:
    scripted = torch.jit.script(without_proposals(faster_rcnn()).train())
    losses, _ = scripted([picture(), picture()], [target(), target()])
    assert (losses["loss_classifier"].item(), losses["loss_box_reg"].item()) == (0.0, 0.0)


def test_nothing_is_found_where_nothing_is_proposed() -> None:
    (found,) = without_proposals(faster_rcnn()).eval()([picture()])
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "scores": (0,),
    }


@pytest.mark.parametrize(
    ("targets", "proposing"),
    [
        ([GOOD, GOOD], True),
        ([target(), GOOD], True),
        ([target(), target()], True),
        ([GOOD, GOOD], False),
        ([target(), GOOD], False),
    ],
)
def test_everywhere_else_losses_and_gradients_are_bit_for_bit_torchvisions(
    targets: list[dict[str, Tensor]], proposing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = faster_rcnn() if proposing else without_proposals(faster_rcnn())
    images = [picture(), picture(3, 50, 44)]

    def step() -> tuple[dict[str, Tensor], list[Tensor]]:
        model.zero_grad()
        torch.manual_seed(3)  # proposals are sampled
        losses = model.train()(images, [dict(each) for each in targets])
        sum(losses.values()).backward()
        return losses, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    def detections() -> list[dict[str, Tensor]]:
        with torch.inference_mode():
            return model.eval()(images)

    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 0.0  # both runs start from the same statistics
    found, ours = step(), detections()
    monkeypatch.setattr(type(model.roi_heads), "forward", RoIHeads.forward)
    expected, theirs = step(), detections()
    assert list(found[0]) == list(expected[0])
    assert all(torch.equal(found[0][key], expected[0][key]) for key in expected[0])
    assert all(torch.equal(one, other) for one, other in zip(found[1], expected[1], strict=True))
    assert all(torch.equal(a[key], b[key]) for a, b in zip(ours, theirs, strict=True) for key in b)
    assert any(len(each["boxes"]) for each in ours) == proposing


@pytest.mark.parametrize(("key", "name"), [("boxes", "bfloat16"), ("labels", "int32")])
def test_without_the_check_types_are_looked_at_as_torchvision_does(key: str, name: str) -> None:
    model = faster_rcnn()
    model.checks_inputs = False
    given = [{**GOOD, key: GOOD[key].to(getattr(torch, name))}] * 2
    for heads in ("ours", "torchvision's"):
        if heads != "ours":
            model.roi_heads.forward = RoIHeads.forward.__get__(model.roi_heads)
        with pytest.raises(TypeError, match=rf"{key} .*{name}"):
            model.train()([picture()] * 2, given)


def test_settings_of_the_heads_of_boxes_arrive() -> None:
    settings = {
        "head.box.score_threshold": 0.125,
        "head.box.nms_threshold": 0.375,
        "head.box.detections_per_image": 7,
        "head.box.foreground_iou": 0.75,
        "head.box.background_iou": 0.25,
        "head.box.batch_size_per_image": 24,
        "head.box.positive_fraction": 0.625,
        "head.box.regression_weights": [1.0, 2.0, 3.0, 4.0],
    }
    heads = faster_rcnn(**settings).roi_heads
    assert (heads.score_thresh, heads.nms_thresh, heads.detections_per_img) == (0.125, 0.375, 7)
    assert (heads.proposal_matcher.high_threshold, heads.proposal_matcher.low_threshold) == (0.75, 0.25)
    assert (heads.fg_bg_sampler.batch_size_per_image, heads.fg_bg_sampler.positive_fraction) == (24, 0.625)
    assert heads.box_coder.weights == (1.0, 2.0, 3.0, 4.0)


# boxes that say what they are


def boxes(form: str = "XYXY", canvas: tuple[int, int] = (40, 60), count: int = 1) -> Tensor:
    values = torch.tensor([[1.0, 2.0, 30.0, 20.0]] * count).reshape(-1, 4)
    return tv_tensors.BoundingBoxes(values, format=form, canvas_size=canvas)


CONVERT = 'torchvision.transforms.v2.functional.convert_bounding_box_format(boxes, new_format="XYXY")'


@pytest.mark.parametrize("count", [1, 0])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"form": "XYWH"}, f"boxes are of the format XYWH; give {CONVERT}"),
        ({"form": "CXCYWH"}, f"boxes are of the format CXCYWH; give {CONVERT}"),
        (
            {"canvas": (60, 40)},
            "boxes are those of an image of 40x60 pixels and the image has 60x40; "
            "transform an image and its boxes together",
        ),
    ],
)
def test_boxes_of_another_format_or_image_are_refused(
    any_head: nn.Module, given: dict[str, Any], text: str, count: int
) -> None:
    labels = torch.ones(count, dtype=torch.int64)
    with pytest.raises(registry.RegistryError) as caught:
        any_head.train()([picture()] * 2, [GOOD, {"boxes": boxes(count=count, **given), "labels": labels}])
    assert str(caught.value) == f"target 1: {text}"


def test_the_advised_conversion_trains_as_plain_corners_do(any_head: nn.Module) -> None:
    from torchvision.transforms.v2 import functional

    # 1, 2 and a size of 29 x 18 are the corners 1, 2, 30, 20
    given = tv_tensors.BoundingBoxes([[1.0, 2.0, 29.0, 18.0]], format="XYWH", canvas_size=(40, 60))
    converted = functional.convert_bounding_box_format(given, new_format="XYXY")
    found = []
    for each in (converted, GOOD["boxes"]):
        torch.manual_seed(0)
        losses = any_head.train()([picture()] * 2, [{"boxes": each, "labels": GOOD["labels"]}] * 2)
        found.append({key: loss.item() for key, loss in losses.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)


NUMBERS = "give pixels as floats, such as torch.float32"


@pytest.mark.parametrize("name", ["bfloat16", "complex64", "bool", "float8_e4m3fn"])
@pytest.mark.parametrize("count", [1, 0])
def test_boxes_of_types_that_hold_no_pixels_are_refused(any_head: nn.Module, name: str, count: int) -> None:
    given = {"boxes": GOOD["boxes"][:count].to(getattr(torch, name)), "labels": GOOD["labels"][:count]}
    for training in (True, False):
        with pytest.raises(registry.RegistryError) as caught:
            any_head.train(training)([picture()] * 2, [given, GOOD])
        assert str(caught.value) == f"target 0: boxes are torch.{name}; {NUMBERS}"


@pytest.mark.parametrize("name", ["float16", "float64", "int8", "uint8", "int16", "uint16", "int64"])
def test_boxes_of_other_types_train(any_head: nn.Module, name: str) -> None:
    image = picture(3, 40, 300)  # a width that int8 does not hold
    given = {"boxes": GOOD["boxes"].to(getattr(torch, name)), "labels": GOOD["labels"]}
    losses = any_head.train()([image] * 2, [given] * 2)
    assert all(bool(loss.isfinite()) for loss in losses.values())


# calls that are none


def test_a_call_without_images_is_told(any_head: nn.Module) -> None:
    for training in (True, False):
        with pytest.raises(registry.RegistryError) as caught:
            any_head.train(training)()
        assert str(caught.value) == "the model was called without images; write model(images)"


@pytest.mark.parametrize(
    ("targets", "found"),
    [(5, "an int"), ((each for each in [GOOD]), "a generator"), (0.5, "a float"), ("cat", "a str")],
)
def test_targets_that_are_no_list_are_told(any_head: nn.Module, targets: Any, found: str) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        any_head.train()([picture()], targets)
    assert str(caught.value) == f"targets must be a list with one dict for each image, not {found}"


# a batch of one small image


def told(model: nn.Module, *shape: int, count: int = 1) -> str | None:
    """What the check says to training on some images; torch must fail exactly where it says something."""
    images, targets = [picture(3, *shape)] * count, [target()] * count
    model.train()
    message = None
    try:
        model.check_inputs(images, targets)
    except registry.RegistryError as error:
        message = str(error)
    model.checks_inputs = False
    if message is None:
        model(images, targets)
    else:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            model(images, targets)
    model.checks_inputs = True
    return message


MESSAGE = (
    "a batch of one image cannot train this model: at 32x32 pixels its last map is 1x1, where batch normalisation has one "
    "value; give two images or more (drop_last=True in the loader), or set head.image.min_size to more than 32 pixels"
)


@pytest.mark.parametrize("head", ["faster_rcnn", "retinanet"])
def test_one_image_cannot_train_where_the_last_map_is_a_point(head: str) -> None:
    batch = {"backbone.norm": "batch"}
    model = HEADS[head](**batch)
    # the shorter side becomes 32: of 41 beside 40 pixels remain 32.8, so 32, and of 42 remain 33.6
    for shape in ((32, 32), (1, 1), (40, 41), (900, 900)):
        assert told(model, *shape) == MESSAGE, shape
    for shape in ((40, 42), (33, 32), (32, 900)):
        assert told(model, *shape) is None, shape
    assert told(model, 32, 32, count=2) is None
    assert len(model.eval()([picture(3, 32, 32)])) == 1
    assert told(HEADS[head](**batch, **{"head.image.min_size": 33}), 32, 32) is None
    assert told(HEADS[head](**{"backbone.norm": "frozen_batch"}), 32, 32) is None


def test_norms_of_the_pyramid_count_too_and_of_several_sizes_the_least() -> None:
    frozen = {"backbone.norm": "frozen_batch", "head.pyramid.norm": "batch"}
    assert told(faster_rcnn(**frozen), 32, 32) == MESSAGE
    model = faster_rcnn(**{"backbone.norm": "batch", "head.image.min_size": [64, 32]})
    with pytest.raises(registry.RegistryError) as caught:  # training draws 32 sooner or later
        model.train()([picture(3, 40, 40)], [target()])
    assert str(caught.value) == MESSAGE


def test_a_dilated_backbone_has_a_last_map_of_stride_16() -> None:
    dilated = {"backbone.dilated": True, "backbone.norm": "batch", "head.image.size_divisible": 16}
    levels = {"head.pyramid.levels": [8, 16], "head.anchors.sizes": [[32], [64], [128]]}
    model = faster_rcnn(**dilated, **levels, **{"head.image.min_size": 16})
    assert told(model, 20, 20) == MESSAGE.replace("32", "16")
    assert told(model, 20, 22) is None  # 16 x 17.6, padded to 16 x 32
