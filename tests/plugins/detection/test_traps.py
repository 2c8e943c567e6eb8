"""Traps of torchvision's detectors: pyramid levels, proposals, channels, odd sizes, precision, copies, scripting."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

LARGE, P3P5, LOW = "fasterrcnn_mnv3_large_fpn", "fasterrcnn_mnv3_large_fpn_p3p5", "fasterrcnn_mnv3_large_320_fpn"
SMALL, SSDLITE = "fasterrcnn_mnv3_small_320_fpn", "ssdlite320_mnv3_large"
KNOWN = ", ".join(f"`c{i}` (stride {s})" for i, s in enumerate((2, 4, 8, 16, 32, 32)))
TINY = {
    "backbone.width_mult": 0.35,
    "head.image.min_size": 64,
    "head.image.max_size": 96,
    "head.pyramid.out_channels": 16,
    "head.box.hidden_channels": 32,
    "head.box.score_threshold": 0.0,
    "head.rpn.post_nms_top_n_train": 60,
    "head.rpn.post_nms_top_n_test": 60,
}
RETINANET = {
    "type": "retinanet",
    "num_classes": 7,
    "image": {"min_size": 64, "max_size": 96},
    "pyramid": {"levels": [8, 16, 32], "extra": "p6p7", "out_channels": 32},
    "anchors": {"sizes": [[16], [32], [64], [96], [128]]},
    "score_threshold": 0.0,
    "detections_per_image": 50,
}
HEADS = ("faster_rcnn", "retinanet", "ssdlite")
each_head = pytest.mark.parametrize("head", HEADS)


def tiny(head: str, **options: Any) -> nn.Module:
    """A small detector with seven classes whose threshold lets boxes of random weights pass."""
    torch.manual_seed(4)
    if head == "faster_rcnn":
        return registry.build(SMALL, overrides=TINY, num_classes=7, **options)
    if head == "retinanet":
        overrides = {"head": RETINANET, "backbone.width_mult": 0.35, "task.categories": None}
        return registry.build(SMALL, overrides=overrides, **options)
    overrides = {
        "backbone.width_mult": 0.35,
        "head.image.size": [96, 96],
        "head.init_std": 0.2,
        "head.score_threshold": 0.0,
    }
    return registry.build(SSDLITE, overrides=overrides, num_classes=7, **options)


def picture(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def targets(*boxes: tuple[int, int, int, int]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(len(boxes)) + 1,
    }


def problems(document: str, overrides: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(registry.SpecError) as caught:
        registry.load_spec(document, overrides=overrides)
    return [(found.rule, found.text) for found in caught.value.diagnostics]


def detect(model: nn.Module, *images: Tensor) -> list[dict[str, Tensor]]:
    with torch.inference_mode():
        return model.eval()(list(images))


def assert_equal(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert len(other["boxes"]) > 0
        for key in ("boxes", "labels", "scores"):
            assert torch.equal(one[key], other[key]), key


# levels of the pyramid


def square(side: float) -> list[float]:
    return [0.0, 0.0, side, side]


SIDES = (5, 50, 111, 200, 223, 224, 300, 447, 448, 600, 900)


def pooled_levels(model: nn.Module) -> list[int]:
    detect(model, picture(3, 128, 160))  # the scales are found on the way
    levels = model.roi_heads.box_roi_pool.map_levels([torch.tensor([square(side) for side in SIDES])])
    return levels.tolist()


QUICK = {"head.image.min_size": 128, "head.image.max_size": 160, "head.rpn.post_nms_top_n_test": 20}


def test_two_levels_of_one_stride_send_every_box_to_the_first_as_in_torchvision() -> None:
    theirs = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, min_size=128, max_size=160, rpn_post_nms_top_n_test=20
    )
    assert pooled_levels(theirs) == [0] * len(SIDES)
    assert pooled_levels(registry.build(LARGE, overrides=QUICK)) == [0] * len(SIDES)


def test_levels_of_doubling_strides_share_the_boxes_by_size() -> None:
    # 224 pixels stand for level 4, each doubling for one level more; levels 3 to 5 are there
    assert pooled_levels(registry.build(P3P5, overrides=QUICK)) == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_equal_strides_are_warned_of_unless_the_document_accepts_them() -> None:
    import registry_detection

    registry.load_spec(LARGE)  # a warning would be an error here
    registry.load_spec(LOW)
    file = Path(inspect.getfile(registry_detection)).parent / "catalog" / f"{LARGE}.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "levels: [c4, c5]" in text)
    column = lines[line - 1].index("c5") + 1
    with pytest.warns(registry.RegistryWarning) as caught:
        registry.load_spec(LARGE, overrides={"accepts": []})
    assert [str(warning.message) for warning in caught] == [
        f"{file}:{line}:{column}: levels `c4` and `c5` both have stride 32, so boxes are pooled from one level "
        "fewer; the others serve proposals and the way down only [REG207]"
    ]


def test_retinanet_pools_no_boxes_and_takes_equal_strides_in_silence() -> None:
    head = {**RETINANET, "pyramid": {"levels": ["c4", "c5"], "extra": "p6p7"}, "anchors": {"sizes": [[16]] * 4}}
    registry.load_spec(SMALL, overrides={"head": head, "task.categories": None})


@pytest.mark.parametrize(
    ("levels", "index", "text"),
    [
        (["c4", "c9"], 1, f"no map `c9`; choose from {KNOWN}"),
        ([64, "c5"], 0, f"the backbone has no map of stride 64; choose from {KNOWN}"),
        (["c4_expansion", "c5"], 0, f"no map `c4_expansion`; choose from {KNOWN}"),
        (["c5", "c4"], 1, f"level c4 does not lie after c5 in the backbone; write finer levels first: {KNOWN}"),
        (["c4", "c4"], 1, f"level c4 does not lie after c4 in the backbone; write finer levels first: {KNOWN}"),
        ([32, 16], 1, f"level 16 does not lie after 32 in the backbone; write finer levels first: {KNOWN}"),
        (
            [8, 32],
            1,
            "stride 32 of level `c5` is not twice stride 8 before it; boxes of sizes between would be pooled from no "
            "level; add the level between",
        ),
    ],
)
def test_levels_that_the_backbone_cannot_give_are_refused(levels: list[Any], index: int, text: str) -> None:
    assert problems(LARGE, {"head.pyramid.levels": levels}) == [("REG202", text)]


def test_a_dilated_backbone_has_no_stride_of_32_and_says_so() -> None:
    dilated = ", ".join(f"`c{i}` (stride {s})" for i, s in enumerate((2, 4, 8, 16, 16, 16)))
    text = f"the backbone has no map of stride 32; choose from {dilated}"
    assert problems(P3P5, {"backbone.dilated": True}) == [("REG202", text)]


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        (["c4_expansion", "c7"], f"no map `c7`; choose from {KNOWN}, `c4_expansion` (stride 16)"),
        (
            ["c4", "c4_expansion"],
            "level c4_expansion does not lie after c4 in the backbone; "
            f"write finer levels first: {KNOWN}, `c4_expansion` (stride 16)",
        ),
    ],
)
def test_ssdlites_levels_are_checked_too(levels: list[str], text: str) -> None:
    ((rule, found),) = problems(SSDLITE, {"head.levels": levels})
    assert rule == "REG202"
    for index in range(6):  # other maps inside blocks may be offered as well
        assert f"`c{index}` (stride" in found
    assert found.startswith(text.split("`c0`")[0])
    assert "`c4_expansion` (stride 16)" in found


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {"head.anchors.sizes": [[32], [64]]},
            ["there are 2 lists of sizes and 3 levels; give one list for each level, the extra ones included"],
        ),
        (
            {"head.pyramid.extra": None},
            ["there are 3 lists of sizes and 2 levels; give one list for each level, the extra ones included"],
        ),
        (
            {"head.anchors.sizes": [[32], [64, 128], [128]]},
            ["2 sizes on this level and 1 on the first; give every level as many sizes"],
        ),
        ({"head.image.max_size": 640}, ["`max_size` 640 is less than `min_size` 800; write at least 800"]),
        (
            {"head.rpn.background_iou": 0.8},
            ["`background_iou` 0.8 is above `foreground_iou` 0.7; write at most 0.7"],
        ),
        (
            {"head.image.mean": [0.1, 0.2]},
            ["`mean` has 2 values and images have 3 channels; give one value, or one for each channel"],
        ),
        (
            {"head.image.std": [0.1, 0.2, 0.3, 0.4]},
            ["`std` has 4 values and images have 3 channels; give one value, or one for each channel"],
        ),
        (
            {"backbone.trainable_stages": 7},
            ["the backbone has 6 stages, so 7 cannot be trained; write 0 to 6, or null for all"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: dict[str, Any], expected: list[str]) -> None:
    assert problems(LARGE, overrides) == [("REG201", text) for text in expected]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            {"head.extra_channels": [512, 256]},
            "there are 6 lists of ratios and 4 levels; give one list for each level, the extra ones included",
        ),
        ({"head.boxes.max_ratio": 0.2}, "`max_ratio` 0.2 is not above `min_ratio` 0.2"),
        (
            {"head.image.mean": [0.1, 0.2]},
            "`mean` has 2 values and images have 3 channels; give one value, or one for each channel",
        ),
    ],
)
def test_ssdlites_settings_that_contradict_each_other_are_refused(overrides: dict[str, Any], text: str) -> None:
    assert problems(SSDLITE, overrides) == [("REG201", text)]


# thresholds


def proposals(overrides: dict[str, Any]) -> tuple[int, Tensor]:
    """How many boxes are proposed for a square image where objectness is noise, and that noise."""
    generator = torch.Generator().manual_seed(3)
    model = registry.build(LOW, overrides={"backbone.width_mult": 0.35, "head.box.score_threshold": 1.0, **overrides})
    counts: list[int] = []
    logits: list[Tensor] = []

    def noise(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        logits.append(torch.randn(output.shape, generator=generator) * 3)
        return logits[-1]

    model.rpn.head.cls_logits.register_forward_hook(noise)
    model.rpn.register_forward_hook(lambda module, given, output: counts.append(len(output[0][0])))
    detect(model, picture(3, 160, 160))
    return counts[0], torch.cat([level.flatten() for level in logits])


def test_the_320_document_proposes_150_boxes_where_the_usual_counts_give_more() -> None:
    usual = {"head.rpn.pre_nms_top_n_test": 1000, "head.rpn.post_nms_top_n_test": 1000}
    free = {"head.rpn.score_threshold": 0.0, "head.rpn.nms_threshold": 0.95}
    assert proposals(free)[0] == 150
    assert proposals({**usual, **free})[0] > 300


@pytest.mark.parametrize("least", [0.0, 0.05, 0.5, 0.9])
def test_a_higher_least_objectness_leaves_fewer_proposals(least: float) -> None:
    every = {"head.rpn.pre_nms_top_n_test": 5000, "head.rpn.post_nms_top_n_test": 5000, "head.rpn.nms_threshold": 1.0}
    small = {"head.image.min_size": 160}
    count, logits = proposals({**every, **small, "head.rpn.score_threshold": least})
    # 15 anchors at each of 5x5 places of both levels of stride 32, and 3x3 of the one on top
    assert len(logits) == 15 * (5 * 5 + 5 * 5 + 3 * 3)
    assert count == int((logits.sigmoid() >= least).sum())
    assert 0 < count < len(logits) or least == 0.0


def test_the_documents_least_objectness_is_the_one_that_made_them_fast() -> None:
    for document in (LARGE, LOW, P3P5, SMALL):
        assert registry.load_spec(document).head.rpn.score_threshold == 0.05


@each_head
def test_a_higher_least_score_leaves_fewer_detections_and_no_weaker_one(head: str) -> None:
    image = picture(3, 64, 80)
    model = tiny(head)
    (everything,) = detect(model, image)
    least = float(everything["scores"].median())
    (model.roi_heads if head == "faster_rcnn" else model).score_thresh = least
    (found,) = detect(model, image)
    assert 0 < len(found["scores"]) < len(everything["scores"])
    assert float(found["scores"].min()) > least
    assert torch.equal(found["scores"], found["scores"].sort(descending=True).values)


# channels and normalisation


@pytest.mark.parametrize("channels", [1, 4])
@each_head
def test_models_of_one_and_of_four_channels_run_and_train(head: str, channels: int) -> None:
    model = tiny(head, in_channels=channels)
    image = picture(channels, 48, 64)
    losses = model([image, image], [targets((5, 5, 30, 30)), targets((1, 1, 60, 40))])
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert len(detect(model, image)[0]["boxes"]) > 0
    with pytest.raises(registry.RegistryError) as caught:
        model([picture(3, 48, 64)])
    assert str(caught.value) == f"image 0 has 3 channels and the model takes {channels}"


@pytest.mark.parametrize(
    ("channels", "mean", "std"),
    [
        (3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        (1, [0.449], [0.226]),  # the averages of ImageNet's three
        (4, [0.449] * 4, [0.226] * 4),
    ],
)
def test_images_are_normalised_as_imagenets_by_default(channels: int, mean: list[float], std: list[float]) -> None:
    transform = registry.build(LARGE, in_channels=channels, device="meta").transform
    assert transform.image_mean == pytest.approx(mean)
    assert transform.image_std == pytest.approx(std)


def test_one_value_of_mean_stands_for_every_channel() -> None:
    overrides = {"head.image.mean": [0.25], "head.image.std": [0.5, 0.25, 0.125]}
    transform = registry.build(LARGE, overrides=overrides, device="meta").transform
    assert transform.image_mean == [0.25] * 3
    assert transform.image_std == [0.5, 0.25, 0.125]
    batch, _ = transform.normalize(torch.full((3, 2, 2), 0.75)), None
    assert torch.equal(batch[:, 0, 0], torch.tensor([1.0, 2.0, 4.0]))


# widths and other backbones


@pytest.mark.parametrize(("width", "c4", "c5"), [(0.5, 80, 480), (0.75, 120, 720), (1.0, 160, 960)])
def test_the_pyramid_follows_the_width_of_the_backbone(width: float, c4: int, c5: int) -> None:
    model = registry.build(LARGE, overrides={"backbone.width_mult": width}, device="meta")
    assert [block[0].in_channels for block in model.backbone.fpn.inner_blocks] == [c4, c5]


def test_ssdlite_follows_the_width_of_the_backbone() -> None:
    model = registry.build(SSDLITE, overrides={"backbone.width_mult": 0.5}, device="meta")
    # half of 672; six times half of a reduced tail's 80; the extra levels are settings of their own
    channels = [block[0][0].in_channels for block in model.head.classification_head.module_list]
    assert channels == [336, 240, 512, 256, 256, 128]


@each_head
def test_half_the_width_trains(head: str) -> None:
    model = tiny(head)
    assert model.spec.backbone.width_mult == 0.35
    losses = model([picture(3, 48, 64)] * 2, [targets((5, 5, 30, 30))] * 2)
    sum(losses.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_ssdlite_stands_on_the_small_network() -> None:
    overrides = {"backbone": "mobilenet_v3_small", "head.image.size": [96, 96], "head.score_threshold": 0.0}
    model = registry.build(SSDLITE, overrides=overrides, num_classes=7)
    channels = [block[0][0].in_channels for block in model.head.classification_head.module_list]
    assert channels == [288, 576, 512, 256, 256, 128]
    assert len(detect(model, picture(3, 50, 70))[0]["boxes"]) > 0


# sizes


@each_head
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (200, 97), (33, 200)])
def test_odd_and_tiny_images_give_boxes_inside_of_them(head: str, size: tuple[int, int]) -> None:
    (found,) = detect(tiny(head), picture(3, *size))
    assert bool(found["boxes"].isfinite().all())
    assert len(found["boxes"]) > 0
    low, high = found["boxes"][:, :2], found["boxes"][:, 2:]
    assert bool((low >= 0).all())
    assert bool((high <= torch.tensor([size[1], size[0]]) + 1e-3).all())


@pytest.mark.parametrize("head", ["faster_rcnn", "retinanet"])
def test_an_image_that_resizing_would_shrink_to_nothing_is_refused_in_plain_words(head: str) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        detect(tiny(head), picture(3, 40, 40), picture(3, 1, 400))
    assert str(caught.value) == (
        "image 1 has 400x1 pixels, of which the model's resizing to at most 96 would leave nothing; crop or pad it"
    )


def test_ssdlite_stretches_an_image_of_any_proportion() -> None:
    assert len(detect(tiny("ssdlite"), picture(3, 1, 400))[0]["boxes"]) > 0


@each_head
def test_images_of_different_sizes_share_a_batch_and_keep_their_own_pixels(head: str) -> None:
    sizes = ((20, 90), (64, 33), (150, 150))
    for (height, width), found in zip(sizes, detect(tiny(head), *(picture(3, *size) for size in sizes)), strict=True):
        assert len(found["boxes"]) > 0
        assert 0.7 * width < float(found["boxes"][:, [0, 2]].max()) <= width + 1e-3
        assert 0.7 * height < float(found["boxes"][:, [1, 3]].max()) <= height + 1e-3


def test_a_fixed_size_is_height_and_width() -> None:
    model = registry.build(SSDLITE, overrides={"head.image.size": [96, 160]}, num_classes=7)
    shapes: list[Any] = []
    model.backbone.register_forward_pre_hook(lambda module, given: shapes.append(tuple(given[0].shape)))
    model.backbone.register_forward_hook(lambda module, given, output: shapes.append(tuple(output["0"].shape[-2:])))
    detect(model, picture(3, 50, 70))
    assert shapes == [(1, 3, 96, 160), (6, 10)]  # c4_expansion has stride 16
    assert model.spec.head.image_size() == (96, 160)


def test_of_a_list_of_sides_testing_takes_the_last_and_training_draws() -> None:
    model = registry.build(SMALL, overrides={**TINY, "head.image.min_size": [32, 64, 96]}, num_classes=7)
    sides: list[int] = []
    model.backbone.register_forward_pre_hook(lambda module, given: sides.append(min(given[0].shape[-2:])))
    detect(model, picture(3, 80, 80))
    assert sides == [96]
    model.train()
    for seed in range(8):
        torch.manual_seed(seed)
        model([picture(3, 80, 80)] * 2, [targets((5, 5, 60, 60))] * 2)
    assert set(sides[1:]) == {32, 64, 96}


# objects or none


@each_head
def test_images_without_objects_train(head: str) -> None:
    model = tiny(head)
    image = picture(3, 48, 64)
    losses = model([image, image], [targets(), targets()])
    assert all(bool(loss.isfinite()) for loss in losses.values())
    box_losses = [key for key in losses if key in ("loss_box_reg", "loss_rpn_box_reg", "bbox_regression")]
    assert box_losses
    assert [losses[key].item() for key in box_losses] == [0.0] * len(box_losses)
    sum(losses.values()).backward()
    mixed = model([image, image], [targets(), targets((5, 5, 40, 40))])
    assert all(bool(loss.isfinite()) for loss in mixed.values())
    assert mixed[box_losses[-1]].item() > 0.0


@each_head
def test_an_image_in_which_nothing_is_found_gives_empty_tensors(head: str) -> None:
    model = tiny(head)
    (model.roi_heads if head == "faster_rcnn" else model).score_thresh = 1.0
    (found,) = detect(model, picture(3, 48, 64))
    shapes = {key: tuple(tensor.shape) for key, tensor in found.items()}
    assert shapes == {"boxes": (0, 4), "labels": (0,), "scores": (0,)}


# what torch does to modules


@each_head
def test_bfloat16_autocast_gives_finite_detections_and_losses(head: str) -> None:
    model = tiny(head)
    image = picture(3, 48, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model([image, image], [targets((5, 5, 30, 30))] * 2)
        (found,) = detect(model, image)
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert len(found["boxes"]) > 0
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())


@pytest.mark.parametrize(
    "remake", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
@each_head
def test_a_copy_gives_equal_detections_checks_and_keeps_the_spec(head: str, remake: Any) -> None:
    model = tiny(head)
    image = picture(3, 48, 64)
    again = remake(model)
    assert again is not model
    assert again.spec == model.spec
    assert_equal(detect(again, image), detect(model, image))
    with pytest.raises(registry.RegistryError, match="the batch is empty"):
        again([])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@each_head
def test_a_scripted_model_gives_equal_detections(head: str) -> None:
    model = tiny(head).eval()
    scripted = torch.jit.script(model)
    images = [picture(3, 48, 64), picture(3, 70, 41)]
    with torch.inference_mode():
        losses, found = scripted(images)  # always both
    assert losses == {}
    assert_equal(found, detect(model, *images))


@each_head
def test_a_checkpoint_gives_equal_detections(head: str, tmp_path: Path) -> None:
    model = tiny(head)
    image = picture(3, 48, 64)
    again = registry.build(registry.save(model, tmp_path / "model.safetensors"))
    if head == "faster_rcnn":  # its norm is `auto`, settled when it was built
        assert again.spec.backbone.norm.kind == "batch"
    assert_equal(detect(again, image), detect(model, image))


def test_a_new_number_of_classes_keeps_all_but_the_classifier(tmp_path: Path) -> None:
    model = tiny("faster_rcnn")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    overrides = {**TINY, "backbone.norm": "batch"}
    with pytest.warns(
        registry.RegistryWarning, match="has 7 classes, the model 4: the classifier is new and untrained"
    ):
        again = registry.build(SMALL, weights=tmp_path / "weights.pth", overrides=overrides, num_classes=4)
    before, after = model.state_dict(), again.state_dict()
    changed = {key for key in after if before[key].shape != after[key].shape}
    assert {key.rsplit(".", 1)[0] for key in changed} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    }
    assert all(torch.equal(after[key], before[key]) for key in after if key not in changed)
