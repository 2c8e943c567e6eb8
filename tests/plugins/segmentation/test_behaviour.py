"""Segmentation heads on other backbones, odd sizes, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import registry
from registry import RegistryError, SpecError

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"backbone.width_mult": 0.35}


def problems(name: str, **overrides: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        registry.load_spec(name, overrides={key.replace("__", "."): value for key, value in overrides.items()})
    return [f"{d.rule}: {d.message}; {d.suggestion}" for d in caught.value.diagnostics]


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (64, 33)])
@pytest.mark.parametrize("name", ["lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large"])
def test_logits_have_the_size_of_the_images(name: str, size: tuple[int, int]) -> None:
    model = registry.build(name, overrides=SMALL).eval()
    for logits in model(torch.rand(1, 3, *size)).values():
        assert logits.shape == (1, 21, *size)
        assert logits.isfinite().all()


def test_the_auxiliary_output_is_there_in_eval_mode_as_in_torchvision() -> None:
    assert list(registry.build("fcn_mnv3_large", overrides=SMALL).eval()(torch.rand(1, 3, 32, 32))) == ["out", "aux"]


@pytest.mark.parametrize("name", ["lraspp_mnv3_large", "deeplabv3_mnv3_large", "fcn_mnv3_large"])
def test_width_channels_and_another_backbone_flow_through(name: str) -> None:
    registry.build(name, overrides={"backbone.width_mult": 0.5}, in_channels=1).eval()(torch.rand(1, 1, 48, 48))
    backbone = {"backbone": "mobilenet_v3_small", "backbone.dilated": True}
    model = registry.build(name, overrides=backbone, num_classes=3)
    assert model.eval()(torch.rand(1, 3, 48, 48))["out"].shape == (1, 3, 48, 48)


def test_an_undilated_backbone_is_refused() -> None:
    assert problems("lraspp_mnv3_large", backbone__dilated=False) == [
        "REG202: the backbone's last map `c5` has stride 32, the head wants 16; "
        "write backbone.output_stride: 16, or head.output_stride: 32"
    ]


MAPS = "`c0` (stride 2), `c1` (stride 4), `c2` (stride 8), `c3` (stride 16), `c4` (stride 16)"


@pytest.mark.parametrize(
    ("low", "text"),
    [
        (64, "the backbone has no map of stride 64"),
        ("c9", "the backbone has no map of name `c9`"),
        ("c5", "the map of name `c5` is the backbone's last, `c5`; one before it is needed"),
        (16, "the map of stride 16 is the backbone's last, `c5`; one before it is needed"),
        ("c2_expansion", "the map of name `c2_expansion` lies inside a block; the map of a stage is needed"),
    ],
)
def test_a_finer_map_must_lie_before_the_last(low: Any, text: str) -> None:
    finding = [f"REG202: {text}; choose from {MAPS}"]
    assert problems("lraspp_mnv3_large", head__low=low) == finding
    assert problems("fcn_mnv3_large", head__aux__level=low) == finding


def test_a_level_is_a_whole_number_or_a_name() -> None:
    assert [text.split(":")[0] for text in problems("lraspp_mnv3_large", head__low=16.5)] == ["REG103"]


def test_one_image_cannot_train_deeplab_and_the_message_says_what_to_do() -> None:
    model = registry.build("deeplabv3_mnv3_large", overrides=SMALL)
    with pytest.raises(RegistryError) as caught:
        model(torch.rand(1, 3, 32, 32))
    assert str(caught.value) == (
        "a batch of one image cannot train this head: it normalises the average of each image over the batch; "
        "give two images or more (drop_last=True in the loader), or set head.norm to {kind: group, groups: 4}"
    )
    model(torch.rand(2, 3, 32, 32))
    advised = {**SMALL, "head.norm": {"kind": "group", "groups": 4}}  # the auxiliary head has 16 // 4 channels
    assert registry.build("deeplabv3_mnv3_large", overrides=advised)(torch.rand(1, 3, 32, 32))["out"].isfinite().all()


@pytest.mark.parametrize(("aux", "groups"), [({"level": 8}, 2), (None, 8)])
def test_the_advised_groups_divide_the_channels_of_every_head(aux: dict[str, int] | None, groups: int) -> None:
    settings = {"head.aux": aux}  # channels: 256, and 40 // 4 with the auxiliary head
    with pytest.raises(RegistryError, match=rf"to \{{kind: group, groups: {groups}\}}$"):
        registry.build("deeplabv3_mnv3_large", overrides=settings, device="meta")(torch.rand(1, 3, 32, 32))
    registry.load_spec("deeplabv3_mnv3_large", overrides={**settings, "head.norm": {"kind": "group", "groups": groups}})


@pytest.mark.parametrize("name", ["lraspp_mnv3_small", "fcn_mnv3_large"])
def test_one_image_trains_the_other_heads(name: str) -> None:
    model = registry.build(name, overrides=SMALL)
    assert model(torch.rand(1, 3, 17, 8))["out"].isfinite().all()
    with pytest.raises(RegistryError) as caught:
        model(torch.rand(1, 3, 16, 8))
    assert str(caught.value) == (
        "one image of 8x16 pixels leaves a last map of 1x1, which batch normalisation cannot train on; "
        "give two images or more, or sides of more than 16 pixels"
    )
    assert model(torch.rand(2, 3, 16, 8))["out"].isfinite().all()
    frozen = {**SMALL, "backbone.norm": "frozen_batch", "head.norm": {"kind": "frozen_batch"}}
    assert registry.build(name, overrides=frozen)(torch.rand(1, 3, 16, 8))["out"].isfinite().all()


@pytest.mark.parametrize("name", ["lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large"])
def test_a_model_can_be_scripted_copied_and_pickled(name: str) -> None:
    model = registry.build(name, overrides=SMALL).eval()
    images = torch.rand(1, 3, 40, 56)
    expected = model(images)["out"]
    for other in (torch.jit.script(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(images)["out"], expected)


def test_autocast_on_the_cpu_gives_finite_logits() -> None:
    model = registry.build("lraspp_mnv3_small", overrides=SMALL).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.rand(1, 3, 64, 64))["out"].isfinite().all()


HEADS = ["lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large"]
TYPES = {"float": torch.float32, "double": torch.float64, "half": torch.float16, "bfloat16": torch.bfloat16}


@pytest.fixture(scope="module", params=HEADS)
def any_head(request: pytest.FixtureRequest) -> Any:
    return registry.build(request.param, overrides=SMALL)


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("own", sorted(TYPES))
@pytest.mark.parametrize("given", sorted(TYPES))
def test_images_need_the_type_of_the_parameters(any_head: Any, own: str, given: str, training: bool) -> None:
    images = torch.rand(2, 3, 40, 40).to(TYPES[given])
    any_head.to(TYPES[own]).train(training)
    try:
        if own == given:
            logits = any_head(images)["out"]
            assert logits.dtype == TYPES[own]
            assert logits.shape == (2, 21, 40, 40)
            return
        with pytest.raises(RegistryError) as caught:
            any_head(images)
    finally:
        any_head.float()
    assert str(caught.value) == (
        f"images are {TYPES[given]} and the model's parameters are {TYPES[own]}; give images.{own}()"
    )


@pytest.mark.parametrize("given", ["float", "half", "bfloat16"])
def test_autocast_takes_images_of_any_type_but_float64_which_it_leaves_alone(any_head: Any, given: str) -> None:
    images = torch.rand(2, 3, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert any_head.eval()(images.to(TYPES[given]))["out"].isfinite().all()
        with pytest.raises(RegistryError, match=r"images are torch.float64 .* give images\.float\(\)$"):
            any_head(images.double())


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("named", [True, False], ids=["by name", "by place"])
def test_targets_go_to_the_task_and_the_message_says_how(any_head: Any, named: bool, training: bool) -> None:
    images, masks = torch.rand(2, 3, 40, 40), torch.zeros(2, 40, 40, dtype=torch.int64)
    places, names = ((), {"targets": masks}) if named else ((masks,), {})
    with pytest.raises(RegistryError) as caught:
        any_head.train(training)(images, *places, **names)
    text = "the model takes images alone; {} checks the masks and counts the losses"
    call = "registry.default_registry().task(model.spec).losses(model, images, masks, model.spec.head)"
    assert str(caught.value) == text.format(call)
    losses = eval(call, {"registry": registry, "model": any_head.train(), "images": images, "masks": masks})
    assert set(losses) <= {"out", "aux"}
    assert all(loss.isfinite() for loss in losses.values())


def test_images_may_be_given_by_name(any_head: Any) -> None:
    assert any_head.eval()(images=torch.rand(1, 3, 40, 40))["out"].shape == (1, 21, 40, 40)


NAN = torch.full((1, 3, 8, 8), float("nan"))
BAD_IMAGES = [
    ([torch.rand(3, 8, 8)], "images must be one tensor (N, C, H, W), not a list"),
    (torch.rand(3, 8, 8), "images have the shape (3, 8, 8); it must be (N, C, H, W), none of them 0"),
    (torch.rand(0, 3, 8, 8), "images have the shape (0, 3, 8, 8); it must be (N, C, H, W), none of them 0"),
    (torch.rand(1, 1, 8, 8), "images have 1 channels and the model takes 3"),
    (
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        "images are torch.uint8; give floats, normalised as task.preprocessing says",
    ),
    (
        torch.arange(192.0).reshape(1, 3, 8, 8),
        "images have values from 0 to 191; scale them to 0..1 and normalise them",
    ),
    (NAN, "images hold values that are not finite"),
]


@pytest.mark.parametrize(("images", "message"), BAD_IMAGES, ids=[message[:40] for _, message in BAD_IMAGES])
def test_bad_images_are_refused_in_plain_words(images: Any, message: str) -> None:
    model = registry.build("lraspp_mnv3_small", overrides=SMALL).eval()
    with pytest.raises(RegistryError) as caught:
        model(images)
    assert str(caught.value) == message


def test_the_check_can_be_switched_off() -> None:
    model = registry.build("lraspp_mnv3_small", overrides=SMALL).eval()
    model.checks_inputs = False  # type: ignore[assignment]
    assert model(NAN)["out"].isnan().any()


def masks(**ids: int) -> torch.Tensor:
    made = torch.zeros(2, 8, 8, dtype=torch.int64)
    made[1, 3, 3] = ids.get("id", 0)
    return made


BAD_MASKS = [
    (masks(id=21), "mask 1 holds the id 21; ids are 0 to 20, or 255 for pixels that do not count"),
    (masks(id=-1), "mask 1 holds the id -1; ids are 0 to 20, or 255 for pixels that do not count"),
    (masks()[:1], "there are 2 images and 1 masks"),
    (masks()[:, :4], "masks have the shape (2, 4, 8); images of this size need (2, 8, 8)"),
    (masks().int(), "masks are torch.int32; they must be torch.int64"),
    (masks().to(torch.uint8), "masks are torch.uint8; they must be torch.int64"),
    ([masks()], "masks must be one tensor (N, H, W), not a list"),
    (
        torch.full((2, 8, 8), 255),
        "every pixel of every mask is 255, which does not count; there is nothing to learn",
    ),
]


@pytest.mark.parametrize(("targets", "message"), BAD_MASKS, ids=[message[:40] for _, message in BAD_MASKS])
def test_bad_masks_are_refused_in_plain_words(targets: Any, message: str) -> None:
    model = registry.build("lraspp_mnv3_small", overrides=SMALL)
    task = registry.default_registry().task(model.spec)  # type: ignore[arg-type]
    with pytest.raises(RegistryError) as caught:
        task.losses(model, torch.rand(2, 3, 8, 8), targets, model.spec.head)  # type: ignore[union-attr, arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(0, 3, 8, 8), "images have the shape (0, 3, 8, 8); it must be (N, C, H, W), none of them 0"),
        ([torch.rand(3, 8, 8)], "images must be one tensor (N, C, H, W), not a list"),
    ],
)
def test_bad_images_are_named_before_their_masks(images: Any, message: str) -> None:
    model = registry.build("lraspp_mnv3_small", overrides=SMALL)
    task = registry.default_registry().task(model.spec)  # type: ignore[arg-type]
    targets = torch.zeros(len(images), 8, 8, dtype=torch.int64)
    with pytest.raises(RegistryError) as caught:
        task.losses(model, images, targets, model.spec.head)  # type: ignore[union-attr, arg-type]
    assert str(caught.value) == message


def test_losses_are_cross_entropy_and_the_auxiliary_one_counts_its_weight() -> None:
    model = registry.build("fcn_mnv3_large", overrides={**SMALL, "head.aux.weight": 0.25})
    task = registry.default_registry().task(model.spec)  # type: ignore[arg-type]
    images, targets = torch.rand(2, 3, 32, 32), torch.randint(0, 21, (2, 32, 32))
    targets[0, :4] = 255
    torch.manual_seed(0)
    found = task.losses(model, images, targets, model.spec.head)  # type: ignore[union-attr, arg-type]
    torch.manual_seed(0)
    logits = model(images)
    assert list(found) == ["out", "aux"]
    assert torch.equal(found["out"], F.cross_entropy(logits["out"], targets, ignore_index=255))
    assert torch.equal(found["aux"], 0.25 * F.cross_entropy(logits["aux"], targets, ignore_index=255))


def test_a_picture_too_narrow_to_resize_is_refused() -> None:
    task = registry.default_registry().task(registry.load_spec("lraspp_mnv3_small"))
    with pytest.raises(registry.ImageError) as caught:
        task.preprocess(Image.new("RGB", (4000, 2)))
    assert str(caught.value) == (
        "a picture of 4000x2 pixels cannot be resized to a shorter side of 520: it would have 1040000x520; crop it first"
    )
