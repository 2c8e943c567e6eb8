"""The classification task: what the model is fed, and the classes it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from registry.errors import RegistryError
from registry.modules.picture import as_input, preprocess
from registry.specs import HeadSpec, ModelSpec, RecipeSpec
from registry.tasks import Task
from registry_classification.accuracy import Accuracy
from registry_classification.checks import check_labels
from registry_classification.drawing import draw_classes
from registry_classification.specs import ClassificationSpec


@dataclass(frozen=True)
class ClassScore:
    """One class with its probability, 0 to 1."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The likeliest classes of one picture, best first."""

    top: tuple[ClassScore, ...]


class ClassificationTask(Task[ClassificationSpec, Classification]):
    """Feeds a classifier and names its classes."""

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """See `registry.modules.picture.preprocess`; with a crop, H and W are its side."""
        return preprocess(self.spec.preprocessing, image, crop=self.spec.preprocessing.crop)

    def as_input(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as `preprocess` gives it, at the size that it has."""
        return as_input(self.spec.preprocessing, image)

    def collate(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Stacks inputs of one size to (N, C, H, W).

        Raises:
            RegistryError: the sizes differ, which happens without a crop.
        """
        if len({tuple(tensor.shape) for tensor in inputs}) > 1:
            raise RegistryError("pictures of different sizes cannot share a batch; set task.preprocessing.crop")
        return torch.stack(inputs)

    def collate_targets(self, targets: list[int]) -> torch.Tensor:
        """Labels as int64 (N)."""
        return torch.tensor(targets, dtype=torch.int64)

    def losses(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        head: HeadSpec,
        recipe: RecipeSpec | None = None,
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy, with the recipe's `label_smoothing` if it has one.

        Args:
            targets: labels, int64 (N), 0 to num_classes - 1; or probabilities, float (N, num_classes), of mixed images.

        Raises:
            RegistryError: targets of another type, number or range.
        """
        check_labels(targets, len(inputs), head.num_classes)
        smoothing = float(getattr(recipe, "label_smoothing", 0.0))
        return {"classification": F.cross_entropy(model(inputs), targets, label_smoothing=smoothing)}

    def example(
        self, spec: ModelSpec, count: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (N, C, H, W) of mean 0 and deviation 1, and labels drawn evenly."""
        images = torch.randn((count, spec.backbone.in_channels, *size), generator=generator)
        return images, torch.randint(spec.head.num_classes, (count,), generator=generator)

    def check_output(self, output: Any, spec: ModelSpec, inputs: torch.Tensor) -> None:
        """Logits, float (N, num_classes)."""
        expected = (len(inputs), spec.head.num_classes)
        if not isinstance(output, torch.Tensor) or not output.is_floating_point() or tuple(output.shape) != expected:
            found = (
                f"{output.dtype} {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
            )
            raise RegistryError(f"a classifier returns float logits {expected}, one row an image, and this one {found}")

    def metric(self, spec: ModelSpec) -> Accuracy:
        """See `Accuracy`."""
        return Accuracy(min(self.spec.top_k, spec.head.num_classes))

    def postprocess(self, output: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list[Classification]:
        """Logits (N, num_classes) to the `top_k` likeliest classes of each picture."""
        scores, indices = output.float().softmax(dim=1).topk(min(self.spec.top_k, output.shape[1]))
        return [
            Classification(
                tuple(ClassScore(i, self.label(i), s) for s, i in zip(row.tolist(), ids.tolist(), strict=True))
            )
            for row, ids in zip(scores, indices, strict=True)
        ]

    def as_data(self, result: Classification) -> dict[str, Any]:
        """`{"top": [{"index", "label", "score"}, …]}`, best first."""
        return {"top": [{"index": c.index, "label": c.label, "score": round(c.score, 6)} for c in result.top]}

    def as_text(self, result: Classification) -> str:
        """One class a line, its probability in percent."""
        return "\n".join(f"{100 * c.score:5.1f} %  {c.label}" for c in result.top)

    def draw(self, image: Image.Image, result: Classification) -> Image.Image:
        """The picture with its classes below it."""
        return draw_classes(image, [(c.label, c.score) for c in result.top])
