"""What a detector says about images and targets that would fail late, or train on nonsense in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

TINY = {
    "backbone.width_mult": 0.35,
    "head.image.min_size": 32,
    "head.image.max_size": 64,
    "head.pyramid.out_channels": 8,
    "head.box.hidden_channels": 16,
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
EMPTY = "an image without objects has boxes torch.zeros((0, 4)) and labels torch.zeros(0, dtype=torch.int64)"
ZERO = "0 is the background: count your classes from 1"
NAN, INF = float("nan"), float("inf")


def faster_rcnn(**options: Any) -> nn.Module:
    return registry.build("fasterrcnn_mnv3_small_320_fpn", overrides=TINY, num_classes=5, **options)


def retinanet() -> nn.Module:
    overrides = {"head": RETINANET, "backbone.width_mult": 0.35, "task.categories": None}
    return registry.build("fasterrcnn_mnv3_small_320_fpn", overrides=overrides)


@pytest.fixture(scope="module")
def unbuilt() -> nn.Module:
    """A model without memory, whose check comes before anything it cannot compute."""
    return faster_rcnn(device="meta")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return faster_rcnn()


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's own, which looks at little."""
    torch.manual_seed(0)
    return torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=5, min_size=64, max_size=96, rpn_post_nms_top_n_train=50
    )


def picture(*shape: int) -> Tensor:
    return torch.rand(*(shape or (3, 40, 60)), generator=torch.Generator().manual_seed(1))


def target(boxes: Any = ((1, 2, 30, 20),), labels: Any = (1,)) -> dict[str, Tensor]:
    return {
        "boxes": torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.as_tensor(labels, dtype=torch.int64),
    }


def without(key: str) -> dict[str, Tensor]:
    return {name: value for name, value in target().items() if name != key}


GOOD = target()


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ([], "the batch is empty; give at least one image"),
        (lambda: picture(2, 3, 8, 8), "images must be a list of tensors (C, H, W), not a Tensor"),
        ({"image": 1}, "images must be a list of tensors (C, H, W), not a dict"),
        (["cat.jpg"], "image 0 is a str, not a tensor (C, H, W)"),
        (lambda: [picture(), picture(40, 60)], "image 1 has the shape (40, 60); it must be (C, H, W), none of them 0"),
        (lambda: [picture(1, 3, 8, 8)], "image 0 has the shape (1, 3, 8, 8); it must be (C, H, W), none of them 0"),
        (lambda: [picture(3, 0, 8)], "image 0 has the shape (3, 0, 8); it must be (C, H, W), none of them 0"),
        (lambda: [picture(1, 8, 8)], "image 0 has 1 channels and the model takes 3"),
        (lambda: [picture(4, 8, 8)], "image 0 has 4 channels and the model takes 3"),
        (lambda: [picture(8, 8, 3)], "image 0 has 8 channels and the model takes 3"),
        (
            lambda: [(picture() * 255).to(torch.uint8)],
            "image 0 is torch.uint8; give floats in 0 to 1, such as image.float() / 255",
        ),
        (
            lambda: [picture().round().long()],
            "image 0 is torch.int64; give floats in 0 to 1, such as image.float() / 255",
        ),
        (
            lambda: [torch.stack([torch.zeros(8, 8), torch.full((8, 8), 255.0), torch.ones(8, 8)])],
            "image 0 has values from 0 to 255; give 0 to 1, which the model normalises itself",
        ),
        (
            lambda: [torch.stack([torch.full((8, 8), -2.5), torch.full((8, 8), 2.25), torch.ones(8, 8)])],
            "image 0 has values from -2.5 to 2.25; give 0 to 1, which the model normalises itself",
        ),
        (
            lambda: [picture(), picture().index_fill(2, torch.tensor([3]), NAN)],
            "image 1 holds values that are not finite",
        ),
        (lambda: [picture().index_fill(2, torch.tensor([3]), INF)], "image 0 holds values that are not finite"),
        (lambda: [picture().index_fill(2, torch.tensor([3]), -INF)], "image 0 holds values that are not finite"),
    ],
)
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
def test_images_that_would_fail_or_mislead_are_refused(
    unbuilt: nn.Module, images: Any, text: str, training: bool
) -> None:
    given = images() if callable(images) else images
    with pytest.raises(registry.RegistryError) as caught:
        unbuilt.train(training)(given, [GOOD] * len(given) if training else None)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (None, "training needs targets; call model(images, targets), or model.eval() to predict"),
        ([GOOD], "images and targets differ in number, 2 and 1; targets is a list with one dict for each image"),
        (
            [GOOD, GOOD, GOOD],
            "images and targets differ in number, 2 and 3; targets is a list with one dict for each image",
        ),
        (GOOD, "targets must be a list with one dict for each image, not a dict"),
        (torch.zeros(2, 4), "targets must be a list with one dict for each image, not a Tensor"),
        ([GOOD, [1]], "target 1 is a list, not a dict with `boxes` and `labels`"),
        ([GOOD, {}], "target 1 has no `boxes`; give `boxes` (N, 4) and `labels` (N)"),
        ([without("boxes"), GOOD], "target 0 has no `boxes`; give `boxes` (N, 4) and `labels` (N)"),
        ([GOOD, without("labels")], "target 1 has no `labels`; give `boxes` (N, 4) and `labels` (N)"),
        (
            [{**GOOD, "boxes": [[1, 2, 3, 4]]}, GOOD],
            "target 0 has `boxes` that are no tensor; give `boxes` (N, 4) and `labels` (N)",
        ),
        (
            [{**GOOD, "labels": [1]}, GOOD],
            "target 0 has `labels` that are no tensor; give `boxes` (N, 4) and `labels` (N)",
        ),
        (
            [GOOD, {"boxes": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}],
            f"target 1: boxes have the shape (0,); it must be (N, 4); {EMPTY}",
        ),
        (
            [{**GOOD, "boxes": torch.ones(4)}, GOOD],
            "target 0: boxes have the shape (4,); it must be (N, 4), x1, y1, x2, y2 in pixels",
        ),
        (
            [{**GOOD, "boxes": torch.ones(1, 5)}, GOOD],
            "target 0: boxes have the shape (1, 5); it must be (N, 4), x1, y1, x2, y2 in pixels",
        ),
        (
            [{**GOOD, "labels": torch.ones(1)}, GOOD],
            "target 0: labels are torch.float32 (1,); they must be torch.int64 (N,)",
        ),
        (
            [{**GOOD, "labels": torch.ones(1, dtype=torch.int32)}, GOOD],
            "target 0: labels are torch.int32 (1,); they must be torch.int64 (N,)",
        ),
        (
            [{**GOOD, "labels": torch.ones(1, 1, dtype=torch.int64)}, GOOD],
            "target 0: labels are torch.int64 (1, 1); they must be torch.int64 (N,)",
        ),
        ([target([[1, 2, 3, 4], [1, 2, 5, 6]], [1]), GOOD], "target 0 has 2 boxes and 1 labels"),
        ([target([], [1]), GOOD], "target 0 has 0 boxes and 1 labels"),
        (
            [GOOD, target([[1, 2, 3, 4], [1, 2, 5, 6]], [4, 0])],
            f"target 1: labels[1] is 0; labels of objects are 1 to 4; {ZERO}; {EMPTY}",
        ),
        ([target(labels=[-1]), GOOD], "target 0: labels[0] is -1; labels of objects are 1 to 4"),
        ([target(labels=[5]), GOOD], "target 0: labels[0] is 5; labels of objects are 1 to 4"),
        ([target(labels=[90]), GOOD], "target 0: labels[0] is 90; labels of objects are 1 to 4"),
        ([target([[1, NAN, 30, 20]]), GOOD], "target 0: box 0 (1, nan, 30, 20) is not finite"),
        ([target([[1, 2, 3, 4], [1, 2, INF, 20]], [1, 1]), GOOD], "target 0: box 1 (1, 2, inf, 20) is not finite"),
        (
            [target([[10, 10, 10, 30]]), GOOD],
            f"target 0: box 0 (10, 10, 10, 30) has no area; x2 and y2 must be greater than x1 and y1; {EMPTY}",
        ),
        (
            [target([[10, 30, 20, 10.5]]), GOOD],
            f"target 0: box 0 (10, 30, 20, 10.5) has no area; x2 and y2 must be greater than x1 and y1; {EMPTY}",
        ),
        (
            [target([[0, 0, 0, 0]], [0]), GOOD],
            f"target 0: box 0 (0, 0, 0, 0) has no area; x2 and y2 must be greater than x1 and y1; {EMPTY}",
        ),
        (
            [target([[10, 10, 62, 30]]), GOOD],
            "target 0: box 0 (10, 10, 62, 30) lies outside of its image of 60x40 pixels; "
            "are they x1, y1, x2, y2 in its pixels?",
        ),
        (
            [GOOD, target([[10, 10, 50, 41.5]])],
            "target 1: box 0 (10, 10, 50, 41.5) lies outside of its image of 60x40 pixels; "
            "are they x1, y1, x2, y2 in its pixels?",
        ),
        (
            [GOOD, target([[0.1, 0.2, 0.5, 0.75], [0, 0, 1, 1]], [1, 2])],
            "target 1: every box lies within 0 to 1 of an image of 60x40 pixels; "
            "boxes are in pixels: multiply x by 60 and y by 40",
        ),
        (
            [target([[-1.5, 10, 50, 30]]), GOOD],
            "target 0: box 0 (-1.5, 10, 50, 30) lies outside of its image of 60x40 pixels; "
            "are they x1, y1, x2, y2 in its pixels?",
        ),
    ],
)
def test_targets_that_would_fail_or_mislead_are_refused(unbuilt: nn.Module, targets: Any, text: str) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        unbuilt.train()([picture(), picture()], targets)
    assert str(caught.value) == text


def test_a_box_is_named_in_the_callers_own_pixels(theirs: nn.Module, model: nn.Module) -> None:
    # torchvision speaks of the resized image: 16 to 96 for 10 to 60 at a scale of 1.6
    given = [picture(3, 40, 60)], [target([[10, 10, 10, 35]])]
    with pytest.raises(AssertionError, match=r"\[16\.0, 16\.0, 16\.0, 56\.0\]"):
        theirs(*given)
    with pytest.raises(registry.RegistryError, match=r"box 0 \(10, 10, 10, 35\) has no area"):
        model.train()(*given)


def test_targets_are_checked_in_eval_too_where_they_are_given(unbuilt: nn.Module) -> None:
    with pytest.raises(registry.RegistryError, match=r"labels\[0\] is 7; labels of objects are 1 to 4"):
        unbuilt.eval()([picture()], [target(labels=[7])])


@pytest.mark.parametrize(
    "targets",
    [
        target([[1, 2, 30, 20], [5, 5, 6, 6]], [1, 4]),
        target([], []),
        {**target(), "boxes": torch.tensor([[1, 2, 30, 20]])},
        {**target(), "boxes": torch.tensor([[1, 2, 30, 20]], dtype=torch.int32)},
        {**target(), "boxes": torch.tensor([[1, 2, 30, 20]], dtype=torch.float64)},
        target([[-0.5, -0.5, 60.5, 40.5]]),
        target([[0, 0, 60, 40]]),
        target([[59.25, 39.25, 59.5, 39.5]]),
        target([[-1, -1, 61, 41]]),
        target([[0, 0, 1, 1], [0, 0, 1, 2]], [1, 1]),
        {**target(), "masks": torch.zeros(1, 40, 60), "image_id": 7},
    ],
    ids=[
        "two",
        "none",
        "int64",
        "int32",
        "float64",
        "rounded",
        "whole image",
        "quarter pixel",
        "a pixel outside",
        "one of a pixel",
        "more keys",
    ],
)
def test_valid_targets_train(model: nn.Module, targets: dict[str, Any]) -> None:
    torch.manual_seed(0)
    losses = model.train()([picture()], [targets])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    assert all(bool(loss.isfinite()) for loss in losses.values())


def test_images_a_little_outside_of_the_range_and_tuples_pass(model: nn.Module) -> None:
    # augmentations overshoot
    assert len(model.eval()((picture() * 1.2 - 0.1, picture(3, 5, 9)))) == 2


@pytest.mark.parametrize(("shape", "refused"), [((3, 2, 2), False), ((3, 1, 3), True), ((3, 3, 2), True)])
def test_an_image_of_up_to_two_pixels_may_have_boxes_of_up_to_one(
    unbuilt: nn.Module, shape: tuple[int, ...], refused: bool
) -> None:
    given = [picture(*shape)], [target([[0, 0, 1, 1]])]
    if not refused:
        return unbuilt.check_inputs(*given)
    with pytest.raises(registry.RegistryError, match="every box lies within 0 to 1 of an image of"):
        unbuilt.check_inputs(*given)


# types of floats


def ssdlite(**overrides: Any) -> nn.Module:
    changed = {"backbone.width_mult": 0.35, **overrides}
    return registry.build("ssdlite320_mnv3_large", overrides=changed, num_classes=5)


HEADS = {"faster_rcnn": faster_rcnn, "retinanet": retinanet, "ssdlite": ssdlite}
TYPES = {"float": torch.float32, "double": torch.float64, "half": torch.float16, "bfloat16": torch.bfloat16}


@pytest.fixture(scope="module", params=sorted(HEADS))
def any_head(request: pytest.FixtureRequest) -> nn.Module:
    return HEADS[request.param]()


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("own", sorted(TYPES))
@pytest.mark.parametrize("given", sorted(TYPES))
def test_images_need_the_type_of_the_parameters(any_head: nn.Module, own: str, given: str, training: bool) -> None:
    images = [picture().to(TYPES[own]), picture().to(TYPES[given])]
    any_head.to(TYPES[own]).train(training)
    try:
        if own == given:
            return any_head.check_inputs(images, [GOOD, GOOD])
        with pytest.raises(registry.RegistryError) as caught:
            any_head(images, [GOOD, GOOD])
    finally:
        any_head.float()
    assert str(caught.value) == (
        f"image 1 is {TYPES[given]} and the model's parameters are {TYPES[own]}; give image.{own}()"
    )


@pytest.mark.parametrize("given", ["float", "half", "bfloat16"])
def test_autocast_takes_images_of_any_type(any_head: nn.Module, given: str) -> None:
    images = [picture().to(TYPES[given])] * 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = any_head.train()(images, [GOOD, GOOD])
        assert len(any_head.eval()(images)) == 2
    assert all(bool(loss.isfinite()) for loss in losses.values())


def test_autocast_leaves_float64_alone_so_that_it_is_refused_there_too(any_head: nn.Module) -> None:
    images = [picture().double()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(registry.RegistryError, match=r"image 0 is torch.float64 .* give image\.float\(\)$"):
            any_head.eval()(images)
        any_head.checks_inputs = False
        try:
            with pytest.raises(RuntimeError, match="Double"):
                any_head(images)
        finally:
            del any_head.checks_inputs


def test_a_model_of_float64_finds_what_one_of_float32_does(any_head: nn.Module) -> None:
    found = any_head.eval()([picture()])[0]["scores"]
    try:
        exact = any_head.double()([picture().double()])[0]["scores"]
    finally:
        any_head.float()
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.float(), found, rtol=1e-3, atol=1e-4)


# a batch of one image


GROUPS = {"kind": "group", "groups": 8}


def told(model: nn.Module, count: int = 1) -> str | None:
    """What the check says to training on some images; torch must fail exactly where it says something."""
    images, targets = [picture()] * count, [GOOD] * count
    model.train()
    message = None
    try:
        model.check_inputs(images, targets)
    except registry.RegistryError as error:
        message = str(error)
    model.checks_inputs = False
    if message is None:
        assert all(bool(loss.isfinite()) for loss in model(images, targets).values())
    else:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            model(images, targets)
    return message


# the last of six levels has a stride of 32 * 2 * 2 * 2 * 2 = 512
@pytest.mark.parametrize(
    ("size", "norm", "advice"),
    [
        ([320, 320], "batch", "512 pixels, or head.norm to {kind: group, groups: 8}"),
        ([512, 64], "batch", "512 pixels, or head.norm to {kind: group, groups: 8}"),
        ([513, 64], "batch", None),
        ([320, 320], GROUPS, None),
        ([320, 320], "frozen_batch", None),
        ([32, 32], "batch", "512 pixels"),  # the backbone's own last map is of one pixel, too
        ([32, 32], GROUPS, "32 pixels"),
        ([33, 32], GROUPS, None),
    ],
)
def test_one_image_cannot_train_ssdlite_where_its_coarsest_level_is_a_point(
    size: list[int], norm: Any, advice: str | None
) -> None:
    found = told(ssdlite(**{"head.image.size": size, "head.norm": norm}))
    if advice is None:
        assert found is None
        return
    assert found == (
        f"a batch of one image cannot train this head: at {size[1]}x{size[0]} pixels its coarsest level is 1x1, where "
        "batch normalisation has one value; give two images or more (drop_last=True in the loader), or set "
        f"head.image.size to more than {advice}"
    )


def test_the_advised_groups_divide_every_channel_count_of_the_head() -> None:
    settings = {"head.extra_channels": [24, 8, 12, 20]}  # half of 12 is 6 and half of 20 is 10
    found = told(ssdlite(**settings))
    assert found is not None
    assert found.endswith("or head.norm to {kind: group, groups: 2}")
    assert told(ssdlite(**settings, **{"head.norm": {"kind": "group", "groups": 2}})) is None


def test_two_images_train_ssdlite_and_one_is_predicted() -> None:
    model = ssdlite()
    assert told(model, 2) is None
    model.checks_inputs = True
    assert len(model.eval()([picture()])) == 1


def test_one_image_trains_ssdlite_whose_batch_norms_rest() -> None:
    model = ssdlite().train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    losses = model([picture()], [GOOD])
    assert all(bool(loss.isfinite()) for loss in losses.values())


def test_meta_tensors_are_not_looked_into(unbuilt: nn.Module) -> None:
    meta = {key: value.to("meta") for key, value in target(labels=[77]).items()}
    unbuilt.check_inputs([picture().to("meta")], [meta])


# why the check is there


@pytest.mark.parametrize(
    ("images", "targets", "text"),
    [
        ([picture()], [target(labels=[0])], r"labels\[0\] is 0"),
        ([picture()], [target(labels=[-1])], r"labels\[0\] is -1"),
        ([picture()], [target([[500, 500, 900, 900]])], "lies outside of its image"),
        ([picture()], [target([[0.1, 0.2, 0.5, 0.75]])], "every box lies within 0 to 1"),
        ([picture() * 255], [target()], "has values from"),
        ([picture(1, 40, 60)], [target()], "has 1 channels and the model takes 3"),
    ],
    ids=["background", "negative", "outside", "shares", "not divided by 255", "grey"],
)
def test_torchvision_trains_in_silence_on_what_is_refused_here(
    images: Any, targets: Any, text: str, theirs: nn.Module, model: nn.Module
) -> None:
    losses = theirs(images, [dict(one) for one in targets])
    assert all(bool(loss.isfinite()) for loss in losses.values())
    with pytest.raises(registry.RegistryError, match=text):
        model.train()(images, targets)


def test_a_model_whose_checks_are_off_is_torchvisions(model: nn.Module) -> None:
    model.checks_inputs = False
    try:
        with pytest.raises(IndexError):
            model.train()([], [])
        with pytest.raises(KeyError):
            model.train()([picture()], [without("labels")])
    finally:
        del model.checks_inputs
    assert model.checks_inputs is True


# the other heads


def test_retinanet_has_no_background_so_that_class_0_is_a_class() -> None:
    model = retinanet()
    losses = model([picture()], [target([[1, 2, 30, 20], [5, 5, 20, 30]], [0, 4])])
    assert set(losses) == {"classification", "bbox_regression"}
    assert all(bool(loss.isfinite()) for loss in losses.values())
    for label in (-1, 5):
        with pytest.raises(registry.RegistryError) as caught:
            model([picture()], [target(labels=[label])])
        assert str(caught.value) == f"target 0: labels[0] is {label}; labels of objects are 0 to 4"


def test_ssdlite_refuses_the_background_as_faster_rcnn_does() -> None:
    model = registry.build("ssdlite320_mnv3_large", num_classes=5, device="meta")
    with pytest.raises(registry.RegistryError) as caught:
        model([picture()], [target(labels=[0])])
    assert str(caught.value) == f"target 0: labels[0] is 0; labels of objects are 1 to 4; {ZERO}; {EMPTY}"
