"""Limits of one head that make each other useless, and class counts that leave nothing to find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from registry.specs import Finding

if TYPE_CHECKING:
    from registry_detection.specs import FasterRCNNSpec, RetinaNetSpec, SSDLiteSpec


def background_findings(num_classes: int) -> Iterator[Finding]:
    """One class, where the first is the background."""
    if num_classes < 2:
        text = "the only class is the background, so there is nothing to find"
        yield Finding("REG204", ("num_classes",), text, "write at least 2: class 0 is the background")


def two_stage_findings(spec: FasterRCNNSpec) -> Iterator[Finding]:
    """Proposals and detections that no limit before theirs lets through, and samples without objects."""
    levels, classes = spec.pyramid.count(), spec.num_classes - 1
    for phase, before, after in (
        ("train", spec.rpn.pre_nms_top_n_train, spec.rpn.post_nms_top_n_train),
        ("test", spec.rpn.pre_nms_top_n_test, spec.rpn.post_nms_top_n_test),
    ):
        earlier = ("rpn", f"pre_nms_top_n_{phase}")
        what = f"{levels} levels yield at most {before} proposals each (`pre_nms_top_n_{phase}`)"
        yield from _unreachable(("rpn", f"post_nms_top_n_{phase}"), after, levels * before, what, earlier)
    proposals = min(spec.rpn.post_nms_top_n_test, levels * spec.rpn.pre_nms_top_n_test)
    what = f"at most {proposals} proposals may be of {_classes(classes)} each"
    yield from _unreachable(
        ("box", "detections_per_image"),
        spec.box.detections_per_image,
        proposals * classes,
        what,
        ("rpn", "post_nms_top_n_test"),
    )
    for name, part in (("rpn", spec.rpn), ("box", spec.box)):
        if int(part.batch_size_per_image * part.positive_fraction) == 0:
            share = (
                f"`positive_fraction` {part.positive_fraction:g} of `batch_size_per_image` {part.batch_size_per_image}"
            )
            text = f"{share} is less than 1 and rounds down to 0, so the loss never looks at an object"
            hint = "write a fraction of which at least one is left"
            also = ((name, "batch_size_per_image"),)
            yield Finding("REG212", (name, "positive_fraction"), text, hint, "warning", also)


def one_stage_findings(spec: RetinaNetSpec) -> Iterator[Finding]:
    """Detections that the candidates of all levels do not make up."""
    levels = spec.pyramid.count()
    what = f"{levels} levels yield at most {spec.candidates} each (`candidates`)"
    yield from _unreachable(
        ("detections_per_image",), spec.detections_per_image, levels * spec.candidates, what, ("candidates",)
    )


def single_shot_findings(spec: SSDLiteSpec) -> Iterator[Finding]:
    """Detections that the candidates of all classes do not make up."""
    classes = spec.num_classes - 1
    what = f"{_classes(classes)} may have {spec.candidates} candidates each (`candidates`)"
    yield from _unreachable(
        ("detections_per_image",), spec.detections_per_image, classes * spec.candidates, what, ("candidates",)
    )


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def _unreachable(path: tuple[str, ...], limit: int, most: int, what: str, *also: tuple[str, ...]) -> Iterator[Finding]:
    if limit > most:
        text = f"`{path[-1]}` {limit} is never reached: {what}, {most} in all"
        yield Finding("REG212", path, text, f"write at most {most}, or raise the other", "warning", also)
