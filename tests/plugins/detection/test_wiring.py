"""Every number of a head's settings arrives where torchvision's module reads it; none that is added can be forgotten."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from registry_detection.specs import FasterRCNNSpec, RetinaNetSpec, SSDLiteSpec
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

import registry
from registry.specs import HeadSpec, Spec

Read = Callable[[Any], Any]
#: A value for the setting, how the built module tells it, and what it tells if that is not the value itself.
Wire = tuple[Any, Read] | tuple[Any, Read, Any]


def numbers(spec_class: type[Spec], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all fields that hold numbers, in specs inside it too; `norm[group].eps` for one kind among several."""
    for name, field in spec_class.model_fields.items():
        leaves = list(leaves_of(field.annotation))
        inner = [leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, Spec)]
        for spec in inner:
            kind = f"[{spec.model_fields['kind'].default}]" if "kind" in spec.model_fields else ""
            yield from numbers(spec, f"{prefix}{name}{kind}.")
        if not inner and any(leaf in (int, float) or type(leaf) in (int, float) for leaf in leaves):
            yield f"{prefix}{name}"


def leaves_of(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, and the choices of a Literal."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from leaves_of(typing.get_args(annotation)[0])
        return
    arguments = typing.get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from leaves_of(argument)


# ---- how to read each setting ----------------------------------------------------------------------------------------


def norms(*path: str) -> Callable[[Any], list[nn.Module]]:
    """Every normalisation below some modules."""
    kinds = (nn.BatchNorm2d, FrozenBatchNorm2d, nn.GroupNorm)

    def read(model: Any) -> list[nn.Module]:
        return [m for part in path for m in model.get_submodule(part).modules() if isinstance(m, kinds)]

    return read


def of_norms(find: Callable[[Any], list[nn.Module]], kind: type[nn.Module], attribute: str) -> Read:
    """The one value that an attribute of the norms has, which must all be of a kind."""

    def read(model: Any) -> Any:
        found = find(model)
        if not found or not all(isinstance(norm, kind) for norm in found):
            return None
        (value,) = {getattr(norm, attribute) for norm in found}
        return value

    return read


def norm_wires(name: str, find: Callable[[Any], list[nn.Module]]) -> dict[str, Wire]:
    return {
        f"{name}[batch].eps": (0.0123, of_norms(find, nn.BatchNorm2d, "eps")),
        f"{name}[batch].momentum": (0.234, of_norms(find, nn.BatchNorm2d, "momentum")),
        f"{name}[frozen_batch].eps": (0.0345, of_norms(find, FrozenBatchNorm2d, "eps")),
        f"{name}[group].groups": (4, of_norms(find, nn.GroupNorm, "num_groups")),
        f"{name}[group].eps": (0.0456, of_norms(find, nn.GroupNorm, "eps")),
    }


IMAGE: dict[str, Wire] = {
    "image.mean": ([0.1, 0.2, 0.3], lambda m: m.transform.image_mean),
    "image.std": ([0.4, 0.5, 0.6], lambda m: m.transform.image_std),
}

PYRAMID: dict[str, Wire] = {
    **IMAGE,
    "image.min_size": (304, lambda m: m.transform.min_size, (304,)),
    "image.max_size": (712, lambda m: m.transform.max_size),
    "image.size_divisible": (64, lambda m: m.transform.size_divisible),
    # MobileNetV3-Small's blocks of stride 2 that end at strides 4, 8 and 16 yield 16, 24 and 40 channels
    "pyramid.levels": (
        [4, 8, 16],
        lambda m: [block[0].in_channels for block in m.backbone.fpn.inner_blocks],
        [16, 24, 40],
    ),
    "pyramid.out_channels": (
        48,
        lambda m: {m.backbone.out_channels, *(block[0].out_channels for block in m.backbone.fpn.layer_blocks)},
        {48},
    ),
    **norm_wires("pyramid.norm", norms("backbone.fpn")),
}


def anchor_wires(generator: str, levels: int) -> dict[str, Wire]:
    sizes = [[10 + index, 20 + index] for index in range(levels)]
    return {
        "anchors.sizes": (
            sizes,
            lambda m: m.get_submodule(generator).sizes,
            tuple((10 + index, 20 + index) for index in range(levels)),
        ),
        "anchors.ratios": (
            [0.4, 0.9, 2.5],
            lambda m: m.get_submodule(generator).aspect_ratios,
            ((0.4, 0.9, 2.5),) * levels,
        ),
    }


FASTER_RCNN: dict[str, Wire] = {
    "num_classes": (17, lambda m: (m.roi_heads.box_predictor.cls_score.out_features, m.last_label), (17, 16)),
    **PYRAMID,
    **anchor_wires("rpn.anchor_generator", 4),
    "rpn.pre_nms_top_n_train": (1501, lambda m: m.rpn._pre_nms_top_n["training"]),
    "rpn.pre_nms_top_n_test": (402, lambda m: m.rpn._pre_nms_top_n["testing"]),
    "rpn.post_nms_top_n_train": (1503, lambda m: m.rpn._post_nms_top_n["training"]),
    "rpn.post_nms_top_n_test": (404, lambda m: m.rpn._post_nms_top_n["testing"]),
    "rpn.nms_threshold": (0.61, lambda m: m.rpn.nms_thresh),
    "rpn.score_threshold": (0.12, lambda m: m.rpn.score_thresh),
    "rpn.foreground_iou": (0.72, lambda m: m.rpn.proposal_matcher.high_threshold),
    "rpn.background_iou": (0.23, lambda m: m.rpn.proposal_matcher.low_threshold),
    "rpn.batch_size_per_image": (124, lambda m: m.rpn.fg_bg_sampler.batch_size_per_image),
    "rpn.positive_fraction": (0.35, lambda m: m.rpn.fg_bg_sampler.positive_fraction),
    "box.pool_size": (5, lambda m: m.roi_heads.box_roi_pool.output_size, (5, 5)),
    "box.sampling_ratio": (3, lambda m: m.roi_heads.box_roi_pool.sampling_ratio),
    "box.hidden_channels": (
        96,
        lambda m: [m.roi_heads.box_head.fc6.out_features, m.roi_heads.box_predictor.bbox_pred.in_features],
        [96, 96],
    ),
    "box.score_threshold": (0.07, lambda m: m.roi_heads.score_thresh),
    "box.nms_threshold": (0.48, lambda m: m.roi_heads.nms_thresh),
    "box.detections_per_image": (89, lambda m: m.roi_heads.detections_per_img),
    "box.foreground_iou": (0.59, lambda m: m.roi_heads.proposal_matcher.high_threshold),
    "box.background_iou": (0.41, lambda m: m.roi_heads.proposal_matcher.low_threshold),
    "box.batch_size_per_image": (250, lambda m: m.roi_heads.fg_bg_sampler.batch_size_per_image),
    "box.positive_fraction": (0.31, lambda m: m.roi_heads.fg_bg_sampler.positive_fraction),
    "box.regression_weights": ([9.0, 8.0, 7.0, 6.0], lambda m: m.roi_heads.box_coder.weights, (9.0, 8.0, 7.0, 6.0)),
}

RETINANET: dict[str, Wire] = {
    "num_classes": (17, lambda m: (m.head.classification_head.num_classes, m.last_label), (17, 16)),
    **PYRAMID,
    **anchor_wires("anchor_generator", 5),
    "score_threshold": (0.07, lambda m: m.score_thresh),
    "nms_threshold": (0.48, lambda m: m.nms_thresh),
    "detections_per_image": (289, lambda m: m.detections_per_img),
    "candidates": (876, lambda m: m.topk_candidates),
    "foreground_iou": (0.59, lambda m: m.proposal_matcher.high_threshold),
    "background_iou": (0.38, lambda m: m.proposal_matcher.low_threshold),
}

SSDLITE: dict[str, Wire] = {
    "num_classes": (17, lambda m: (m.head.classification_head.num_columns, m.last_label), (17, 16)),
    **IMAGE,
    "image.size": ([256, 352], lambda m: m.transform.fixed_size, (352, 256)),  # torchvision: width and height
    # MobileNetV3-Large: 80 channels at stride 16 before the blocks of 112, and 160 / 2 at stride 32 with a reduced tail
    "levels": (
        ["c3", "c4"],
        lambda m: [head[0][0].in_channels for head in m.head.classification_head.module_list[:2]],
        [80, 80],
    ),
    "extra_channels": (
        [64, 48, 32, 16],
        lambda m: [head[0][0].in_channels for head in m.head.regression_head.module_list[2:]],
        [64, 48, 32, 16],
    ),
    "boxes.ratios": (
        [[2, 4], [2.5], [3], [3], [2], [2]],
        lambda m: m.anchor_generator.aspect_ratios,
        [[2, 4], [2.5], [3], [3], [2], [2]],
    ),
    "boxes.min_ratio": (0.15, lambda m: m.anchor_generator.scales[0]),
    "boxes.max_ratio": (0.85, lambda m: m.anchor_generator.scales[5], pytest.approx(0.85)),
    **norm_wires("norm", norms("backbone.extra", "head")),
    "score_threshold": (0.02, lambda m: m.score_thresh),
    "nms_threshold": (0.48, lambda m: m.nms_thresh),
    "detections_per_image": (189, lambda m: m.detections_per_img),
    "candidates": (276, lambda m: m.topk_candidates),
    "foreground_iou": (0.59, lambda m: m.proposal_matcher.high_threshold),
    "positive_fraction": (0.2, lambda m: m.neg_to_pos_ratio, 4.0),  # four of background for each object
    "init_std": (0.07, lambda m: m.backbone.extra[0][0][0].weight.detach().std().item(), pytest.approx(0.07, rel=0.02)),
}

#: For each head: its spec, a document of it, and its table.
HEADS: dict[str, tuple[type[HeadSpec], str, dict[str, Wire]]] = {
    "faster_rcnn": (FasterRCNNSpec, "fasterrcnn_mnv3_small_320_fpn", FASTER_RCNN),
    "retinanet": (RetinaNetSpec, "fasterrcnn_mnv3_small_320_fpn", RETINANET),
    "ssdlite": (SSDLiteSpec, "ssdlite320_mnv3_large", SSDLITE),
}
RETINANET_HEAD: dict[str, Any] = {
    "type": "retinanet",
    "num_classes": 91,
    "image": {"min_size": 320, "max_size": 640},
    "pyramid": {"levels": [8, 16, 32], "extra": "p6p7"},
    "anchors": {"sizes": [[16], [32], [64], [128], [256]]},
}

# ---- tests -----------------------------------------------------------------------------------------------------------


def head_of(name: str) -> dict[str, Any]:
    _, document, _ = HEADS[name]
    return (
        copy.deepcopy(RETINANET_HEAD)
        if name == "retinanet"
        else registry.load_spec(document).head.model_dump(mode="json")
    )


def build(name: str, setting: str | None = None, value: Any = None) -> nn.Module:
    """The head's document with one setting changed; on no device, unless weights must be looked at."""
    settings = head_of(name)
    if setting is not None:
        *holders, last = setting.split(".")
        place = settings
        for holder in holders:
            key, _, kind = holder.rstrip("]").partition("[")
            if kind:
                place[key] = {"kind": kind}
            place = place.setdefault(key, {})
        place[last] = value
    overrides = {"head": settings, "task.categories": None}
    return registry.build(HEADS[name][1], overrides=overrides, device="cpu" if setting == "init_std" else "meta")


@pytest.fixture(scope="module")
def unchanged() -> dict[str, nn.Module]:
    return {name: build(name) for name in HEADS}


@pytest.mark.parametrize("name", HEADS)
def test_no_setting_is_missing_from_the_table(name: str) -> None:
    spec_class, _, table = HEADS[name]
    assert sorted(numbers(spec_class)) == sorted(table)


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name, (_, _, table) in HEADS.items() for setting in table]
)
def test_a_setting_arrives(name: str, setting: str, unchanged: dict[str, nn.Module]) -> None:
    value, read, *told = HEADS[name][2][setting]
    expected = told[0] if told else value
    if setting != "init_std":
        assert read(unchanged[name]) != expected
    assert read(build(name, setting, value)) == expected


def test_a_field_that_is_added_would_be_missed() -> None:
    class Added(SSDLiteSpec):
        """A head with one more number, inside a spec."""

        more: FasterRCNNSpec | None = None

    assert set(numbers(Added)) - set(numbers(SSDLiteSpec)) == {f"more.{path}" for path in numbers(FasterRCNNSpec)}
