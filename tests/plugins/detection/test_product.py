"""Every head on every backbone: it builds where its spec is valid, and where it is refused the backbone lacks a level.

Heads and backbones come from the registry, so that what other plugins add is tried too.
"""

from __future__ import annotations

import contextlib
import functools
import re
from typing import Any

import pytest

import registry
from registry.assemble.construct import construct_meta
from registry.specs import BackboneSpec

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

KNOWN_HEADS = {"mobilenet_v3_classifier", "faster_rcnn", "retinanet", "ssdlite"}
KNOWN_BACKBONES = {"mobilenet_v3_large", "mobilenet_v3_small"}
# RetinaNet on a backbone that is always there, for the time that no document has this head
RETINANET = {
    "type": "retinanet",
    "num_classes": 91,
    "pyramid": {"levels": [8, 16, 32], "extra": "p6p7"},
    "anchors": {"sizes": [[32], [64], [128], [256], [512]]},
}


def heads() -> list[str]:
    return sorted(part.type for part in registry.default_registry().host.parts if part.kind == "head")


def backbones() -> list[str]:
    documents = registry.default_registry().library.catalog.documents
    return sorted(document.name for document in documents if document.kind == "backbone")


@functools.cache
def documents() -> dict[str, list[str]]:
    """Model documents by the type of their head, the shortest name first; other tests say which are not valid."""
    found: dict[str, list[str]] = {}
    for name in sorted(registry.list_models(), key=lambda name: (len(name), name)):
        with contextlib.suppress(registry.RegistryError):
            found.setdefault(registry.load_spec(name).head.type, []).append(name)
    return found


def model_of(head: str) -> tuple[str, dict[str, Any]]:
    """A document with that head and overrides; a stand-in for RetinaNet where no document has it."""
    if head == "retinanet" and head not in documents():
        own = {"head": RETINANET, "accepts": None, "weights": None, "default_weights": None}
        return "fasterrcnn_mnv3_large_fpn", own
    return documents()[head][0], {}


def pairs() -> list[tuple[str, str]]:
    return [(head, backbone) for head in heads() for backbone in backbones()]


def on(document: str, overrides: dict[str, Any], backbone: str) -> dict[str, Any]:
    """Overrides that put a model on another backbone, without what belongs to its own."""
    spec = registry.load_spec(document, overrides=overrides)
    norm = {"backbone.norm": "auto"} if spec.head.task != "classification" else {}
    gone = {"weights": None, "default_weights": None, "backbone_weights": None}
    return {"accepts": ["REG207"], **overrides, **gone, "backbone": backbone, **norm}


def offered(backbone: BackboneSpec) -> tuple[set[str], set[int]]:
    maps = [*backbone.feature_maps(), *backbone.inner_maps()]
    return {m.name for m in maps}, {m.stride for m in backbone.feature_maps()}


def test_every_part_that_this_release_ships_is_tried() -> None:
    assert set(heads()) >= KNOWN_HEADS
    assert set(backbones()) >= KNOWN_BACKBONES
    assert set(heads()) - set(documents()) <= {"retinanet"}


@pytest.mark.parametrize(("head", "backbone"), pairs())
def test_a_head_on_a_backbone_builds_or_is_refused_for_what_the_backbone_lacks(head: str, backbone: str) -> None:
    document, overrides = model_of(head)
    changed = on(document, overrides, backbone)
    try:
        spec = registry.load_spec(document, overrides=changed)
    except registry.SpecError as error:
        assert_refused_rightly(error, document, changed, backbone)
        return
    assert spec.backbone.type == backbone_spec(backbone).type
    assert_builds(document, changed)


def assert_builds(document: str, overrides: dict[str, Any]) -> None:
    model = registry.build(document, overrides=overrides, device="meta")
    assert {tensor.device.type for tensor in model.parameters()} == {"meta"}
    assert sum(parameter.numel() for parameter in model.parameters()) > 100_000


def backbone_spec(name: str) -> BackboneSpec:
    """A backbone document's spec by way of a head that takes any."""
    overrides = {"backbone": name, "weights": None, "default_weights": None}
    try:
        return registry.load_spec("mobilenet_v3_small", overrides=overrides).backbone
    except registry.SpecError:
        head = {**RETINANET, "pyramid": {"levels": ["c2"], "extra": None}, "anchors": {"sizes": [[32]]}}
        return registry.load_spec("fasterrcnn_mnv3_large_fpn", overrides={**overrides, "head": head}).backbone


def assert_refused_rightly(error: registry.SpecError, document: str, changed: dict[str, Any], backbone: str) -> None:
    """What the message says the backbone lacks, it lacks; and where a setting would help, it does."""
    spec = backbone_spec(backbone)
    names, strides = offered(spec)
    wrong = [found for found in error.diagnostics if found.severity == "error"]
    assert wrong
    for found in wrong:
        assert found.rule == "REG202", str(found)
        stride = re.search(r"no map of stride (\d+)", found.message)
        name = re.search(r"no map `(\w+)`", found.message)
        last = re.fullmatch(r"the backbone's last map `(\w+)` has stride (\d+), the head wants (\d+)", found.message)
        if stride is not None:
            assert int(stride[1]) not in strides, str(found)
        elif name is not None:
            assert name[1] not in names, str(found)
        elif last is not None:
            own = spec.feature_maps()[-1]
            assert (last[1], int(last[2])) == (own.name, own.stride), str(found)
            assert int(last[3]) != own.stride, str(found)
            assert f"head.output_stride: {own.stride}" in found.text
            assert_builds(document, {**changed, "head.output_stride": own.stride})
        else:
            assert_fails_unchecked(document, changed, str(found))


def assert_fails_unchecked(document: str, changed: dict[str, Any], why: str) -> None:
    """The same parts, put together past the check, cannot be built or run."""
    own = registry.load_spec(document)
    spec = own.model_copy(update={"backbone": backbone_spec(changed["backbone"])})
    image = torch.empty(1, spec.backbone.in_channels, 256, 256, device="meta")
    try:
        model = construct_meta(registry.default_registry().host, spec).eval()
        model(list(image) if own.head.task == "detection" else image)
    except Exception:  # whatever torch says
        return
    pytest.fail(f"refused, though it builds and runs: {why}")


@pytest.mark.parametrize("backbone", sorted(KNOWN_BACKBONES))
@pytest.mark.parametrize("head", sorted(KNOWN_HEADS))
def test_the_heads_and_backbones_of_mobilenet_v3_fit_each_other(head: str, backbone: str) -> None:
    document, overrides = model_of(head)
    registry.load_spec(document, overrides=on(document, overrides, backbone))


@pytest.mark.parametrize("backbone", sorted(KNOWN_BACKBONES))
@pytest.mark.parametrize(("width", "tail"), [(0.35, True), (1.25, False)])
@pytest.mark.parametrize("head", ["faster_rcnn", "retinanet", "ssdlite"])
def test_detectors_build_on_every_width_and_tail(head: str, width: float, tail: bool, backbone: str) -> None:
    document, overrides = model_of(head)
    changed = {**on(document, overrides, backbone), "backbone.width_mult": width, "backbone.reduced_tail": tail}
    assert_builds(document, changed)
