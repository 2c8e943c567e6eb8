"""Every number of a head's settings arrives in the built module; none that is added can be forgotten."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from registry_segmentation.specs import DeepLabV3Spec, FCNSpec, LRASPPSpec
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


def of_norms(kind: type[nn.Module], attribute: str) -> Read:
    """The one value that an attribute of the head's norms has, which must all be of a kind; those of an auxiliary too."""

    def read(model: Any) -> Any:
        kinds = (nn.BatchNorm2d, FrozenBatchNorm2d, nn.GroupNorm)
        heads = [part for key, part in model.named_children() if key != "backbone"]
        found = [layer for head in heads for layer in head.modules() if isinstance(layer, kinds)]
        if not found or not all(isinstance(norm, kind) for norm in found):
            return None
        (value,) = {getattr(norm, attribute) for norm in found}
        return value

    return read


def loss_weight(model: Any) -> float:
    """The auxiliary loss per main loss where both maps are the same."""
    logits = torch.rand(1, model.spec.head.num_classes, 4, 4, generator=torch.Generator().manual_seed(0))
    task: Any = registry.default_registry().task(model.spec)
    images, masks = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    losses = task.losses(lambda _: {"out": logits, "aux": logits}, images, masks, model.spec.head)
    return float(losses["aux"] / losses["out"])


def dropouts(head: nn.Module) -> list[float]:
    return [layer.p for layer in head.modules() if isinstance(layer, nn.Dropout)]


DENSE: dict[str, Wire] = {
    "norm[batch].eps": (0.0123, of_norms(nn.BatchNorm2d, "eps")),
    "norm[batch].momentum": (0.234, of_norms(nn.BatchNorm2d, "momentum")),
    "norm[frozen_batch].eps": (0.0345, of_norms(FrozenBatchNorm2d, "eps")),
    "norm[group].groups": (2, of_norms(nn.GroupNorm, "num_groups")),
    "norm[group].eps": (0.0456, of_norms(nn.GroupNorm, "eps")),
    "output_stride": (32, lambda m: m.last_stride),
}

#: MobileNetV3-Large has maps of 16, 24, 40 and 80 channels before its blocks of 160, and ends with 960.
AUXILIARY: dict[str, Wire] = {
    "num_classes": (17, lambda m: [m.classifier[-1].out_channels, m.aux_classifier[-1].out_channels], [17, 17]),
    "aux.level": (4, lambda m: m.aux_classifier[0].in_channels, 24),
    "aux.weight": (0.3, loss_weight, pytest.approx(0.3)),
    "aux.reduction": (5, lambda m: m.aux_classifier[0].out_channels, 40 // 5),
    "aux.dropout": (0.21, lambda m: dropouts(m.aux_classifier), [0.21]),
}

LRASPP: dict[str, Wire] = {
    **DENSE,
    "num_classes": (
        17,
        lambda m: [m.classifier.low_classifier.out_channels, m.classifier.high_classifier.out_channels],
        [17, 17],
    ),
    "low": (4, lambda m: m.classifier.low_classifier.in_channels, 24),
    "inter_channels": (
        96,
        lambda m: [m.classifier.cbr[0].out_channels, m.classifier.scale[1].out_channels],
        [96, 96],
    ),
}

DEEPLABV3: dict[str, Wire] = {
    **DENSE,
    **AUXILIARY,
    "channels": (
        192,
        lambda m: {layer.out_channels for layer in m.classifier[:-1].modules() if isinstance(layer, nn.Conv2d)},
        {192},
    ),
    "atrous_rates": (
        [5, 7],
        lambda m: [branch[0].dilation for branch in m.classifier[0].convs[1:-1]],
        [(5, 5), (7, 7)],
    ),
    "dropout": (0.43, lambda m: dropouts(m.classifier), [0.43]),
}

FCN: dict[str, Wire] = {
    **DENSE,
    **AUXILIARY,
    "reduction": (6, lambda m: m.classifier[0].out_channels, 960 // 6),
    "dropout": (0.43, lambda m: dropouts(m.classifier), [0.43]),
}

#: For each document: the spec of its head, and the table.
HEADS: dict[str, tuple[type[HeadSpec], dict[str, Wire]]] = {
    "lraspp_mnv3_large": (LRASPPSpec, LRASPP),
    "deeplabv3_mnv3_large": (DeepLabV3Spec, DEEPLABV3),
    "fcn_mnv3_large": (FCNSpec, FCN),
}

# ---- tests -----------------------------------------------------------------------------------------------------------


def build(name: str, setting: str | None = None, value: Any = None) -> nn.Module:
    """The document with one setting of the head changed, on no device."""
    overrides: dict[str, Any] = {"task.categories": None}
    if setting == "output_stride":  # the backbone's must agree
        overrides |= {"backbone.dilated": False, "backbone.output_stride": value}
    if setting is not None:
        holder, _, last = setting.rpartition(".")
        key, _, kind = holder.rstrip("]").partition("[")
        groups = {"groups": 2} if kind == "group" else {}  # eight do not divide every channel count
        overrides |= {f"head.{key}": {"kind": kind, **groups, last: value}} if kind else {f"head.{setting}": value}
    return registry.build(name, overrides=overrides, device="meta")


@pytest.fixture(scope="module")
def unchanged() -> dict[str, nn.Module]:
    return {name: build(name) for name in HEADS}


@pytest.mark.parametrize("name", HEADS)
def test_no_setting_is_missing_from_the_table(name: str) -> None:
    spec_class, table = HEADS[name]
    assert sorted(numbers(spec_class)) == sorted(table)


@pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name, (_, table) in HEADS.items() for setting in table]
)
def test_a_setting_arrives(name: str, setting: str, unchanged: dict[str, nn.Module]) -> None:
    value, read, *told = HEADS[name][1][setting]
    expected = told[0] if told else value
    assert read(unchanged[name]) != expected
    assert read(build(name, setting, value)) == expected


def test_a_field_that_is_added_would_be_missed() -> None:
    class Added(FCNSpec):
        """A head with one more number, inside a spec."""

        more: LRASPPSpec | None = None

    assert set(numbers(Added)) - set(numbers(FCNSpec)) == {f"more.{path}" for path in numbers(LRASPPSpec)}
