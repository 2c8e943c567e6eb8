"""Verification: an exported file against the model in eager, on real images, and on images with no answer and with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from registry.artefacts import Artefact
from registry.errors import RegistryError
from registry.modules.split import SplitModule, can_split, split_of
from registry.tasks import Task
from registry_export.compare import Distance, distance, is_detections, scores_of
from registry_export.specs import TargetSpec

#: Pictures on which the parts of a detector are compared.
_PARTS = 2
#: Makes a file anew under changed settings of the model, and loads it.
Again = Callable[[], nn.Module]


@dataclass
class Verification:
    """What was found.

    Attributes:
        images: how many images were compared.
        far: over all of them.
        left_out: names of images of a size that the file does not take.
        cases: how often detections of each number, `none` and `one`, were compared.
    """

    images: int = 0
    far: Distance = field(default_factory=Distance)
    left_out: list[str] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "images": self.images,
            "largest_difference": self.far.largest,
            "relative_difference": self.far.share,
            "agreement": self.far.agreement,
            "left_out": self.left_out,
            "cases": self.cases,
        }


class Verifier:
    """Compares a loaded file with its model.

    Args:
        spec: of the target, which says how far they may be apart.
        model: in eager, in eval mode.
        task: that feeds both.
    """

    def __init__(self, spec: TargetSpec, model: nn.Module, task: Task[Any, Any]) -> None:
        self.spec, self.model, self.task = spec, model, task
        quantized = getattr(model, "quantization", None) is not None
        self._quantized = quantized
        self.tolerance = spec.quantized_tolerance if quantized else spec.tolerance
        self.agreement = spec.quantized_agreement if quantized else spec.agreement
        self.detection_tolerance = max(self.tolerance, spec.detection_tolerance)
        self.detection_agreement = min(self.agreement, spec.detection_agreement)
        self.found = Verification()

    def run(
        self, loaded: nn.Module, inputs: Sequence[tuple[str, torch.Tensor]], blank: torch.Tensor, again: Again
    ) -> Verification:
        """Compares on each image, on a batch where batches may be of any size, and for detectors on no and on one detection.

        Args:
            inputs: pre-processed images by name.
            blank: a picture on which there is nothing.
            again: called where the file itself holds thresholds that must be others.

        Raises:
            RegistryError: they are further apart than the target allows, with both numbers.
        """
        outputs = [self._compare(loaded, name, [tensor]) for name, tensor in inputs if self._fits(loaded, name, tensor)]
        if self.found.images == 0:
            raise RegistryError(
                "no image has the size that the file takes; give others with --image, or let height and width change: "
                "--set export.dynamic=[batch,height,width]"
            )
        if is_detections(outputs[0]):
            if isinstance(loaded, SplitModule):
                self._compare_parts(loaded, inputs[:_PARTS])
            outputs.append(self._compare(loaded, "blank", [blank]))
            self._count(outputs)
            self._few(loaded, [*inputs, ("blank", blank)], [output[0] for output in outputs], again)
        elif "batch" in self._artefact(loaded).dynamic:
            name, first = inputs[0]
            same = [tensor for _, tensor in inputs if tensor.shape == first.shape]
            self._compare(loaded, f"a batch with {name}", (same * 3)[:3])
        if self._quantized:  # single answers of near ties go either way
            least = self.detection_agreement if is_detections(outputs[0]) else self.agreement
            self._hold_answers("all images together", self.found.far, least)
        return self.found

    @staticmethod
    def _artefact(loaded: nn.Module) -> Artefact:
        artefact = loaded.artefact
        assert isinstance(artefact, Artefact)
        return artefact

    def _fits(self, loaded: nn.Module, name: str, tensor: torch.Tensor) -> bool:
        artefact = self._artefact(loaded)
        if artefact.takes == "images":
            return True
        limits = {"height": 1, "width": 2}
        for axis, index in limits.items():
            side, most = tensor.shape[index], int(artefact.settings.get("largest", tensor.shape[index]))
            if (axis in artefact.dynamic and side > most) or (
                axis not in artefact.dynamic and side != artefact.shape[index + 1]
            ):
                self.found.left_out.append(name)
                return False
        return True

    def _compare(self, loaded: nn.Module, name: str, images: list[torch.Tensor]) -> Any:
        with torch.no_grad():
            given = self.task.collate([image.clone() for image in images])
            wanted = self.model(self.task.collate(images))
            far = distance(wanted, loaded(given))
        if is_detections(wanted):
            self._hold(name, far, self.detection_tolerance, self.detection_agreement, "detection_")
        else:
            self._hold(name, far, self.tolerance, self.agreement)
        self.found.images += len(images)
        self.found.far += far
        return wanted

    def _compare_parts(self, loaded: nn.Module, inputs: Sequence[tuple[str, torch.Tensor]]) -> None:
        """Compares what each part gives, which tells on pictures without an answer too."""
        own, file = split_of(self.model), split_of(loaded)
        with torch.no_grad():
            for name, image in inputs:
                for part, given in own.examples([image.clone()]).items():
                    far = distance(own.call(part, *given), file.call(part, *given))
                    self._hold_numbers(f"{name}, in what the part `{part}` gives", far, self.tolerance)

    def _hold(self, name: str, far: Distance, tolerance: float, least: float, kind: str = "") -> None:
        self._hold_numbers(name, far, tolerance, kind)
        if not self._quantized:
            self._hold_answers(name, far, least, kind)

    def _hold_numbers(self, name: str, far: Distance, tolerance: float, kind: str = "") -> None:
        if not far.share <= tolerance:
            raise RegistryError(
                f"the exported file differs from the model on {name}: by {far.largest:.3g}, a share of {far.share:.3g} of "
                f"the largest magnitude, and at most {tolerance:g} is allowed (export.{self._key(kind)}tolerance); no file "
                "was written"
            )

    def _key(self, kind: str) -> str:
        """What the name of the setting that counts begins with."""
        return "quantized_" if self._quantized else kind

    def _hold_answers(self, name: str, far: Distance, least: float, kind: str = "") -> None:
        agreement = far.agreement
        if agreement is not None and agreement < least:
            raise RegistryError(
                f"the exported file answers otherwise than the model on {name}: {far.agreeing} of {far.answers} answers agree "
                f"({agreement:.1%}), and at least {least:.1%} must (export.{self._key(kind)}agreement); no file was written"
            )

    def _count(self, outputs: Sequence[Any]) -> None:
        for output in outputs:
            for each in output:
                key = {0: "none", 1: "one"}.get(len(each["boxes"]))
                if key is not None:
                    self.found.cases[key] = self.found.cases.get(key, 0) + 1

    def _few(
        self, loaded: nn.Module, inputs: Sequence[tuple[str, torch.Tensor]], outputs: Sequence[Any], again: Again
    ) -> None:
        """Compares under thresholds that leave nothing, and a single detection, of an image that has more."""
        if not can_split(self.model):
            return
        scores = scores_of(outputs)
        gaps = [each[0] - (each[1] if len(each) > 1 else 0.0) if each else 0.0 for each in scores]
        place = max(range(len(gaps)), key=gaps.__getitem__)
        if gaps[place] <= 0:
            return
        name, image = inputs[place]
        first, second = scores[place][0], scores[place][1] if len(scores[place]) > 1 else 0.0
        wanted = {"one": (first + second) / 2, "none": (1 + first) / 2}
        for case, score in wanted.items():
            if case in self.found.cases:
                continue
            with ExitStack() as stack:
                self._enter(stack, self.model, score)
                if isinstance(loaded, SplitModule):
                    self._enter(stack, loaded, score)
                other = loaded if isinstance(loaded, SplitModule) else again()
                self._count([self._compare(other, f"{name} with scores above {score:.3f}", [image])])

    @staticmethod
    def _enter(stack: ExitStack, model: nn.Module, score: float) -> None:
        context: AbstractContextManager[None] | None = split_of(model).at_least(score)
        if context is not None:
            stack.enter_context(context)
