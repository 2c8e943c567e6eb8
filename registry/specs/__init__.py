"""Typed specs: what a document of each kind may say. Pure data and arithmetic; nothing here imports torch."""

from registry.specs.about import AboutSpec, ReferenceSpec
from registry.specs.base import Listed, Rename, Spec
from registry.specs.features import FeatureMap
from registry.specs.findings import Finding, Severity
from registry.specs.memo import per_spec
from registry.specs.model import BudgetSpec, FiguresSpec, ModelSpec, WeightsSpec
from registry.specs.norm import (
    AutoNormSpec,
    BatchNormSpec,
    FrozenBatchNormSpec,
    GroupNormSpec,
    HeadNormSpec,
    NormSpec,
    group_findings,
)
from registry.specs.parts import (
    PART_KINDS,
    BackboneSpec,
    DatasetSpec,
    ExportSpec,
    HeadSpec,
    PartSpec,
    PartTypes,
    QuantizationSpec,
    RecipeSpec,
    TaskSpec,
)
from registry.specs.picture import PictureSpec

__all__ = [
    "PART_KINDS",
    "AboutSpec",
    "AutoNormSpec",
    "BackboneSpec",
    "BatchNormSpec",
    "BudgetSpec",
    "DatasetSpec",
    "ExportSpec",
    "FeatureMap",
    "FiguresSpec",
    "Finding",
    "FrozenBatchNormSpec",
    "GroupNormSpec",
    "HeadNormSpec",
    "HeadSpec",
    "Listed",
    "ModelSpec",
    "NormSpec",
    "PartSpec",
    "PartTypes",
    "PictureSpec",
    "QuantizationSpec",
    "RecipeSpec",
    "ReferenceSpec",
    "Rename",
    "Severity",
    "Spec",
    "TaskSpec",
    "WeightsSpec",
    "group_findings",
    "per_spec",
]
