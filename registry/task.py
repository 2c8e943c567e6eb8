"""What a task must be able to do; prediction calls only this, so that a new task is a plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from registry.specs import TaskSpec

if TYPE_CHECKING:
    import torch
    from PIL import Image

S = TypeVar("S", bound=TaskSpec)
R = TypeVar("R")


class Task(ABC, Generic[S, R]):
    """Feeds a model and reads its answers. `R` is the type of one image's result.

    Attributes:
        spec: the task's settings.
        categories: class names in the order of the model's outputs, or None.
    """

    def __init__(self, spec: S, categories: tuple[str, ...] | None) -> None:
        self.spec = spec
        self.categories = categories

    def label(self, index: int) -> str:
        """Name of a class; `class 7` where there are no names."""
        return self.categories[index] if self.categories is not None else f"class {index}"

    @abstractmethod
    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as the model's input for one image, float32 (C, H, W)."""

    @abstractmethod
    def collate(self, inputs: list[torch.Tensor]) -> Any:
        """The model's argument for a batch of pre-processed images."""

    @abstractmethod
    def postprocess(self, output: Any) -> list[R]:
        """What the model returned in eval mode, as one result per image."""

    @abstractmethod
    def as_data(self, result: R) -> dict[str, Any]:
        """A result as plain data for JSON."""

    @abstractmethod
    def as_text(self, result: R) -> str:
        """A result in a few short lines for a terminal."""

    @abstractmethod
    def draw(self, image: Image.Image, result: R) -> Image.Image:
        """A picture that shows the image and its result."""
