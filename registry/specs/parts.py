"""Base classes of the parts that plugins declare, one per kind of document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from registry.specs.base import Listed, Spec
from registry.specs.features import FeatureMap
from registry.specs.findings import Finding
from registry.specs.norm import AutoNormSpec

if TYPE_CHECKING:
    from registry.specs.model import ModelSpec

#: Every kind of part, in the order in which help and listings show them.
PART_KINDS = ("backbone", "head", "task", "dataset", "recipe", "quantization", "export")


class PartSpec(Spec):
    """Settings of one part. A subclass names its type: `type: Literal["my_head"] = "my_head"`."""

    kind: ClassVar[str]

    type: Annotated[str, Field(min_length=1, description="Registered type of the part.")]

    def check(self) -> Iterable[Finding]:
        """Contradictions between this part's own settings; paths are relative to the part."""
        return ()

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """How this part follows an option of prediction: dotted settings relative to the part, empty if it does not.

        Args:
            option: `score` (least score that is shown, 0 to 1), `top` (most answers) or `size` (pixels of the image's side).
        """
        return {}


class PartTypes(Protocol):
    """Whatever can turn the kind and type of a part into its spec class; the plugin host does."""

    def spec_class(self, kind: str, type_name: str) -> type[PartSpec]:
        """The registered spec class.

        Raises:
            registry.errors.RegistryError: unknown, ambiguous, or not importable.
        """


class BackboneSpec(PartSpec):
    """A network that turns images into feature maps."""

    kind: ClassVar[str] = "backbone"

    in_channels: Annotated[int, Field(ge=1, le=4096, description="Channels of the input image; 3 for RGB.")] = 3
    trainable_stages: Annotated[
        int | None,
        Field(ge=0, le=64, description="How many of the last stages are trained; null: all. One stage a feature map."),
    ] = None
    freeze: Annotated[
        Literal["with_weights", "always"],
        Field(description="Whether the other stages are frozen in a network of random weights too."),
    ] = "with_weights"

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """The maps a head can ask for, from the finest to the last, by arithmetic alone."""
        raise TypeError(f"{type(self).__name__} does not define feature_maps()")

    def inner_maps(self) -> tuple[FeatureMap, ...]:
        """Maps inside blocks, which heads ask for by name only; none by default."""
        return ()

    def find_map(self, level: int | str) -> FeatureMap | None:
        """The map that a level asks for: a name, or a stride, which means the last map of that stride."""
        if isinstance(level, str):
            return next((m for m in (*self.feature_maps(), *self.inner_maps()) if m.name == level), None)
        return next((m for m in reversed(self.feature_maps()) if m.stride == level), None)

    def settled(self, *, pretrained: bool) -> BackboneSpec:
        """The same backbone with everything decided that depends on whether weights are loaded."""
        settled: dict[str, Any] = {"trainable_stages": self.trained(pretrained=pretrained)}
        norm = getattr(self, "norm", None)
        if isinstance(norm, AutoNormSpec):
            settled["norm"] = norm.settled(pretrained=pretrained)
        changed = any(getattr(self, key) != value for key, value in settled.items())
        return self.model_copy(update=settled) if changed else self

    def trained(self, *, pretrained: bool) -> int | None:
        """How many of the last stages are trained, or None for all of them."""
        return self.trainable_stages if pretrained or self.freeze == "always" else None

    def head_channels(self, channels: int) -> int:
        """A head's nominal channel count, scaled as this backbone scales its own last layers; unchanged by default."""
        return channels


class HeadSpec(PartSpec):
    """What turns feature maps into a task's outputs."""

    kind: ClassVar[str] = "head"
    #: Name of the task whose outputs this head yields.
    task: ClassVar[str]
    #: True if what is computed depends on what the image shows, such as the number of proposals. The model then has a method
    #: `fixed_forward(images)`, which runs what does not, for a batch (N, C, H, W); without it no multiply-adds are counted.
    depends_on_image: ClassVar[bool] = False
    #: True if `torch.export` can trace the whole model in eval mode, for any size of batch.
    exportable: ClassVar[bool] = True
    #: True if a model that is not exportable has a method `split()`, see `registry.modules.split`.
    splittable: ClassVar[bool] = False
    #: False for a head without classes, such as one that measures depth; it has `num_classes: Literal[1] = 1`.
    tells_classes: ClassVar[bool] = True

    num_classes: Annotated[int, Field(ge=1, le=1_000_000, description="Number of classes the head tells apart.")]

    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels to which the model itself resizes images, or None where it takes them as they are."""
        return None

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        """Feature maps that this head needs and the backbone lacks; paths are relative to the head."""
        return ()

    def check_task(self, task: TaskSpec) -> Iterable[Finding]:
        """What contradicts the settings of the task, which is the one this head serves; paths are relative to the model."""
        return ()


class TaskSpec(PartSpec):
    """What goes in and what comes out: pre-processing, categories, and how results are read."""

    kind: ClassVar[str] = "task"

    categories: Annotated[
        str | Annotated[Listed[str], Field(min_length=1)] | None,
        Field(description="Class names in the order of the head's outputs: a registered list's name, or the names."),
    ] = None

    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels that pre-processing yields, or None where they follow the picture."""
        return None


class DatasetSpec(PartSpec):
    """Where images and labels come from."""

    kind: ClassVar[str] = "dataset"
    #: Name of the task whose targets this dataset yields.
    task: ClassVar[str]


class RecipeSpec(PartSpec):
    """How a model is trained."""

    kind: ClassVar[str] = "recipe"
    #: Names of the tasks that this recipe trains; empty for any.
    tasks: ClassVar[tuple[str, ...]] = ()

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What contradicts the model that is trained; paths are relative to this part."""
        return ()


class QuantizationSpec(PartSpec):
    """How a float model becomes an integer one."""

    kind: ClassVar[str] = "quantization"

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What contradicts the float model; paths are relative to this part."""
        return ()


class ExportSpec(PartSpec):
    """What file a model is exported to."""

    kind: ClassVar[str] = "export"
    #: Suffix of the files this target writes, with the dot.
    suffix: ClassVar[str]

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What contradicts the model that is exported; paths are relative to this part."""
        return ()
