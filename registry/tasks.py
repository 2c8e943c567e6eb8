"""What a task must be able to do; training and prediction call only this, so that a new task is a plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from registry.errors import RegistryError
from registry.specs import HeadSpec, ModelSpec, RecipeSpec, TaskSpec

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import nn

S = TypeVar("S", bound=TaskSpec)
R = TypeVar("R")


@dataclass(frozen=True)
class Confusion:
    """What was taken for what.

    Attributes:
        labels: names of the classes.
        counts: a row for each class of the truth, in it a number for each class that was found.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def pairs(self, most: int) -> list[tuple[str, str, int]]:
        """Truth, what was found instead, and how often; the most frequent mistakes first, those that happened alone."""
        wrong = [
            (self.labels[row], self.labels[column], count)
            for row, counts in enumerate(self.counts)
            for column, count in enumerate(counts)
            if row != column and count
        ]
        return sorted(wrong, key=lambda one: -one[2])[:most]


@dataclass(frozen=True)
class Details:
    """What a metric tells beside its figures.

    Attributes:
        classes: figures of each class by their names, for the classes that occur.
        confusion: what was taken for what, where results tell that.
    """

    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: Confusion | None = None


def class_names(indices: Sequence[int], label: Callable[[int], str]) -> list[str]:
    """Names of classes, each once: where several share a name, as the two kinds of `crane`, each bears its number too."""
    names = [label(index) for index in indices]
    return [f"{name} ({index})" if names.count(name) > 1 else name for name, index in zip(names, indices, strict=True)]


def paired(results: Sequence[R], targets: Any) -> Iterator[tuple[R, Any]]:
    """Each result with its target, as `Metric.update` takes them.

    Raises:
        RegistryError: there are not as many of the one as of the other.
    """
    if len(results) != len(targets):
        raise RegistryError(f"{len(results)} results and {len(targets)} targets; give one target for each result")
    return zip(results, targets, strict=True)


class Metric(ABC, Generic[R]):
    """How good results are, summed up over batches. `R` is the type of one image's result.

    Attributes:
        headline: the figure, among those of `compute`, by which models are compared.
        higher_is_better: whether a larger headline is the better one.
        backends: names of the libraries that can compute the figures, the default first; empty where there is no choice.
    """

    headline: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def update(self, results: Sequence[R], targets: Any) -> None:
        """Adds a batch.

        Args:
            results: what `postprocess` returned, for pictures of the size that the targets have.
            targets: what `losses` takes for the same images.

        Raises:
            RegistryError: not as many targets as results; see `paired`.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Every figure by name, over all batches so far.

        Raises:
            RegistryError: no batch was added.
        """

    def details(self, label: Callable[[int], str]) -> Details:
        """What there is to tell beside the figures, after `compute`; nothing unless overridden.

        Args:
            label: the name of a class, as `Task.label`; see `class_names` where several classes may share one.
        """
        return Details()

    def use_backend(self, name: str) -> None:
        """Chooses the library that computes the figures.

        Raises:
            RegistryError: the metric has no backend of that name; its package is missing.
        """
        known = ", ".join(self.backends) or "it has no choice of backends"
        raise RegistryError(f"figures are not computed by `{name}`: {known}")


def check_channels(spec: ModelSpec, made: torch.Tensor) -> None:
    """Holds an image as a task made it, (C, H, W), to the model that takes it.

    Raises:
        RegistryError: it has another number of channels.
    """
    wanted = spec.backbone.in_channels
    if made.shape[0] != wanted:
        settings = "task.preprocessing" if "preprocessing" in type(spec.task).model_fields else "task"
        raise RegistryError(
            f"`{spec.name}` takes {wanted} input channels, its task's pre-processing yields {made.shape[0]}; "
            f"change the settings under {settings}"
        )


class Task(ABC, Generic[S, R]):
    """Feeds a model and reads its answers. `R` is the type of one image's result.

    Attributes:
        spec: the task's settings.
        categories: class names in the order of the model's outputs, or None.
    """

    #: Names of the result formats that `as_format` writes, beside text and JSON.
    formats: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: S, categories: tuple[str, ...] | None) -> None:
        self.spec = spec
        self.categories = categories

    def label(self, index: int) -> str:
        """Name of a class; `class 7` where there are no names."""
        return self.categories[index] if self.categories is not None else f"class {index}"

    @abstractmethod
    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as the model's input for one image, float32 (C, H, W)."""

    def as_input(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as the model's input at the size it has, as training takes it after its own crops: `preprocess`
        without resizing, where that resizes."""
        return self.preprocess(image)

    @abstractmethod
    def collate(self, inputs: list[torch.Tensor]) -> Any:
        """The model's argument for a batch of pre-processed images."""

    def collate_targets(self, targets: list[Any]) -> Any:
        """Targets of single images, as data sets of the task yield them, as `losses` takes them; a list unless overridden."""
        return targets

    def losses(
        self, model: nn.Module, inputs: Any, targets: Any, head: HeadSpec, recipe: RecipeSpec | None = None
    ) -> dict[str, torch.Tensor]:
        """What a training step minimises the sum of, by name, after a check of the targets.

        Args:
            model: in training mode.
            inputs: as `collate` returns them.
            targets: as `collate_targets` returns them.
            head: the model's head, which knows the number of classes and weights of its outputs.
            recipe: how the model is trained, where a recipe says; a task reads the settings that concern its losses.

        Raises:
            RegistryError: targets that would fail, or silently train on nonsense.
        """
        raise RegistryError(f"the task `{self.spec.type}` does not say how to train")

    def example(
        self, spec: ModelSpec, count: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[Any, Any]:
        """Made-up images with targets, as `losses` takes them: for checks and dry runs where there is no data.

        Args:
            spec: the model they are for, which knows its input channels and its classes.
            count: number of images.
            size: height and width of each, in pixels.
            generator: where the noise comes from; the same state gives the same batch.
        """
        raise RegistryError(f"the task `{self.spec.type}` makes up no examples")

    def check_output(self, output: Any, spec: ModelSpec, inputs: Any) -> None:
        """Holds what a model returned in eval mode to the form that this task reads.

        Args:
            inputs: what the model was given.

        Raises:
            RegistryError: another structure or shape, with what was expected.
        """

    def metric(self, spec: ModelSpec) -> Metric[R]:
        """A new metric for results of that model."""
        raise RegistryError(f"the task `{self.spec.type}` does not say how its results are measured")

    @abstractmethod
    def postprocess(self, output: Any, sizes: Sequence[tuple[int, int]]) -> list[R]:
        """What the model returned in eval mode, as one result per image.

        Args:
            sizes: height and width of each picture, in pixels.
        """

    @abstractmethod
    def as_data(self, result: R) -> dict[str, Any]:
        """A result as plain data for JSON."""

    @abstractmethod
    def as_text(self, result: R) -> str:
        """A result in a few short lines for a terminal."""

    @abstractmethod
    def draw(self, image: Image.Image, result: R) -> Image.Image:
        """A picture that shows the image and its result."""

    def pictures(self, image: Image.Image, result: R) -> dict[str, Image.Image]:
        """Every picture that prediction writes, by the end of its file name; `.png` is what `draw` returns."""
        return {".png": self.draw(image, result)}

    def as_format(self, name: str, result: R, image_id: int) -> list[dict[str, Any]]:
        """A result in one of `formats`, an entry for each thing that was found.

        Args:
            image_id: number of the picture in its data set.

        Raises:
            RegistryError: the task has no format of that name.
        """
        known = ", ".join(("text", "json", *self.formats))
        raise RegistryError(f"the task `{self.spec.type}` writes no `{name}`; it writes {known}")
