"""Settings of a plugin as small as one can be that brings a part of every kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry.specs import (
    BackboneSpec,
    DatasetSpec,
    ExportSpec,
    FeatureMap,
    HeadSpec,
    QuantizationSpec,
    RecipeSpec,
    Spec,
    TaskSpec,
)


class PictureSpec(Spec):
    """How pictures are read."""

    side: Annotated[int, Field(ge=8, le=512, description="Pixels of a side.")] = 32


class TinyTaskSpec(TaskSpec):
    """One class a picture."""

    type: Annotated[Literal["tiny_task"], Field(description="Registered type of the part.")] = "tiny_task"
    picture: Annotated[PictureSpec, Field(description="How pictures are read.")] = PictureSpec()


class TinyBackboneSpec(BackboneSpec):
    """Two convolutions of stride 2."""

    type: Annotated[Literal["tiny_backbone"], Field(description="Registered type of the part.")] = "tiny_backbone"
    width_mult: Annotated[float, Field(gt=0, le=4, description="Factor on the channel counts.")] = 1.0

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """One map after each convolution."""
        width = int(8 * self.width_mult)
        return (
            FeatureMap(name="c1", channels=width, stride=2, module="stem"),
            FeatureMap(name="c2", channels=2 * width, stride=4, module="body"),
        )


class TinyHeadSpec(HeadSpec):
    """Pooling and one linear layer."""

    type: Annotated[Literal["tiny_head"], Field(description="Registered type of the part.")] = "tiny_head"
    task: ClassVar[str] = "tiny_task"
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a feature.")] = 0.1
    pooling: Annotated[Literal["average", "max"], Field(description="How a map becomes one value.")] = "average"


class TinyDatasetSpec(DatasetSpec):
    """Plain colours."""

    type: Annotated[Literal["tiny_dataset"], Field(description="Registered type of the part.")] = "tiny_dataset"
    task: ClassVar[str] = "tiny_task"
    count: Annotated[int, Field(ge=1, le=100, description="Pictures of a split.")] = 4


class TinyRecipeSpec(RecipeSpec):
    """A number of steps."""

    type: Annotated[Literal["tiny_recipe"], Field(description="Registered type of the part.")] = "tiny_recipe"
    tasks: ClassVar[tuple[str, ...]] = ("tiny_task",)
    steps: Annotated[int, Field(ge=1, description="How many.")] = 10


class TinyQuantizationSpec(QuantizationSpec):
    """Weights rounded to steps."""

    type: Annotated[Literal["tiny_quantization"], Field(description="Registered type of the part.")] = (
        "tiny_quantization"
    )
    levels: Annotated[int, Field(ge=2, le=65536, description="Steps between -1 and 1.")] = 256


class TinyExportSpec(ExportSpec):
    """torch's own format."""

    type: Annotated[Literal["tiny_export"], Field(description="Registered type of the part.")] = "tiny_export"
    suffix: ClassVar[str] = ".tiny"
