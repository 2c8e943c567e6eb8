"""The detection task: what the model is fed, and the boxes it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import nn
from torchvision.transforms import functional as F

from registry.errors import RegistryError
from registry.specs import HeadSpec, ModelSpec, RecipeSpec
from registry.tasks import Task
from registry_detection.drawing import draw_boxes
from registry_detection.precision import AveragePrecision
from registry_detection.specs import DetectionSpec


@dataclass(frozen=True)
class Box:
    """One object: its corners in pixels of the picture (x to the right, y downwards), class and score, 0 to 1."""

    x1: float
    y1: float
    x2: float
    y2: float
    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Detections:
    """The objects of one picture, best first."""

    boxes: tuple[Box, ...]


class DetectionTask(Task[DetectionSpec, Detections]):
    """Feeds a detector and names what it finds."""

    formats: ClassVar[tuple[str, ...]] = ("coco",)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as float32 (3, H, W), or (1, H, W) for grey, in 0 to 1 and in its own size.

        Source: torchvision.transforms._presets.ObjectDetection; the model resizes and normalises.
        """
        picture = image.convert("L") if self.spec.colour == "grey" else image
        tensor: torch.Tensor = F.convert_image_dtype(F.pil_to_tensor(picture), torch.float)
        return tensor

    def collate(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Images of any sizes, as a list."""
        return inputs

    def losses(
        self,
        model: nn.Module,
        inputs: list[torch.Tensor],
        targets: list[dict[str, torch.Tensor]],
        head: HeadSpec,
        recipe: RecipeSpec | None = None,
    ) -> dict[str, torch.Tensor]:
        """The model's own losses of targets with `boxes` (N, 4) in pixels and `labels` (N); it checks them itself."""
        losses: dict[str, torch.Tensor] = model(inputs, targets)
        return losses

    def example(
        self, spec: ModelSpec, count: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
        """Noise (C, H, W) in 0 to 1, and a box a quarter and another half as wide and high as the image in each."""
        height, width = size
        images = list(torch.rand((count, spec.backbone.in_channels, *size), generator=generator))
        boxes = torch.tensor([[0.1, 0.1, 0.35, 0.35], [0.4, 0.4, 0.9, 0.9]]) * torch.tensor([width, height] * 2)
        labels = torch.randint(1, max(spec.head.num_classes, 2), (count, 2), generator=generator)
        return images, [{"boxes": boxes.clone(), "labels": row} for row in labels]

    def check_output(self, output: Any, spec: ModelSpec, inputs: list[torch.Tensor]) -> None:
        """For each image a mapping: `boxes`, float (D, 4), `labels`, int64 (D), and `scores`, float (D), 0 to 1."""
        if not isinstance(output, (list, tuple)) or len(output) != len(inputs):
            found = f"{len(output)} results" if isinstance(output, (list, tuple)) else f"a {type(output).__name__}"
            raise RegistryError(
                f"a detector returns a list with one mapping for each of {len(inputs)} images, not {found}"
            )
        for index, found in enumerate(output):
            missing = [key for key in ("boxes", "labels", "scores") if not isinstance(found.get(key), torch.Tensor)]
            if missing:
                raise RegistryError(f"the result of image {index} has no tensor `{missing[0]}`")
            count = len(found["boxes"])
            forms = {key: (found[key].dtype, tuple(found[key].shape)) for key in ("boxes", "labels", "scores")}
            right = (
                forms["boxes"][0].is_floating_point
                and forms["scores"][0].is_floating_point
                and forms["labels"][0] == torch.int64
                and [shape for _, shape in forms.values()] == [(count, 4), (count,), (count,)]
            )
            if not right:
                told = ", ".join(f"{key} {dtype} {shape}" for key, (dtype, shape) in forms.items())
                wanted = "boxes float (D, 4), labels torch.int64 (D,), scores float (D,)"
                raise RegistryError(f"the result of image {index} must hold {wanted}, and holds {told}")

    def metric(self, spec: ModelSpec) -> AveragePrecision:
        """See `AveragePrecision`; raises MissingExtraError without pycocotools."""
        return AveragePrecision(spec.head.num_classes)

    def postprocess(self, output: list[dict[str, torch.Tensor]], sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Boxes of at least `score_threshold`, at most `top` of them."""
        return [self._result(found) for found in output]

    def _result(self, found: dict[str, torch.Tensor]) -> Detections:
        scores, order = found["scores"].float().sort(descending=True, stable=True)
        order = order[scores >= self.spec.score_threshold][: self.spec.top]
        rows = zip(
            found["boxes"].float()[order].tolist(),
            found["labels"][order].tolist(),
            found["scores"].float()[order].tolist(),
            strict=True,
        )
        return Detections(
            tuple(Box(c[0], c[1], c[2], c[3], index, self.label(index), score) for c, index, score in rows)
        )

    def as_data(self, result: Detections) -> dict[str, Any]:
        """`{"boxes": [{"box": [x1, y1, x2, y2], "index", "label", "score"}, …]}`, best first, corners in pixels."""
        return {
            "boxes": [
                {
                    "box": [round(value, 2) for value in (b.x1, b.y1, b.x2, b.y2)],
                    "index": b.index,
                    "label": b.label,
                    "score": round(b.score, 6),
                }
                for b in result.boxes
            ]
        }

    def as_text(self, result: Detections) -> str:
        """One object a line: score, label, corners in pixels."""
        if not result.boxes:
            return f"nothing found with a score of {self.spec.score_threshold:g} or more"
        width = max(len(b.label) for b in result.boxes)
        return "\n".join(
            f"{100 * b.score:5.1f} %  {b.label:<{width}}  {b.x1:.0f},{b.y1:.0f} to {b.x2:.0f},{b.y2:.0f}"
            for b in result.boxes
        )

    def draw(self, image: Image.Image, result: Detections) -> Image.Image:
        """The picture with a box, label and score for each object."""
        return draw_boxes(
            image, [((b.x1, b.y1, b.x2, b.y2), b.index, f"{b.label} {b.score:.2f}") for b in result.boxes]
        )

    def as_format(self, name: str, result: Detections, image_id: int) -> list[dict[str, Any]]:
        """COCO's result format: a box as x, y, width and height.

        Raises:
            RegistryError: a name other than `coco`.
        """
        if name not in self.formats:
            return super().as_format(name, result, image_id)
        return [
            {
                "image_id": image_id,
                "category_id": b.index,
                "bbox": [round(v, 2) for v in (b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1)],
                "score": round(b.score, 6),
            }
            for b in result.boxes
        ]
