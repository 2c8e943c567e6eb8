"""Normalisation layers, as backbones and heads name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from registry.specs.base import Spec
from registry.specs.findings import Finding


class BatchNormSpec(Spec):
    """Batch normalisation."""

    kind: Annotated[Literal["batch"], Field(description="Which normalisation.")] = "batch"
    eps: Annotated[float, Field(gt=0, le=1, description="Added to the variance.")] = 1e-5
    momentum: Annotated[float, Field(gt=0, le=1, description="Share of a batch in the running statistics.")] = 0.1


class FrozenBatchNormSpec(Spec):
    """Batch normalisation whose statistics and factors are fixed buffers (torchvision.ops.FrozenBatchNorm2d)."""

    kind: Annotated[Literal["frozen_batch"], Field(description="Which normalisation.")] = "frozen_batch"
    eps: Annotated[float, Field(ge=0, le=1, description="Added to the variance.")] = 1e-5


class GroupNormSpec(Spec):
    """Group normalisation; every channel count must be a multiple of `groups`."""

    kind: Annotated[Literal["group"], Field(description="Which normalisation.")] = "group"
    groups: Annotated[int, Field(ge=1, le=512, description="Number of groups.")] = 8
    eps: Annotated[float, Field(gt=0, le=1, description="Added to the variance.")] = 1e-5


class AutoNormSpec(Spec):
    """Frozen batch normalisation where weights are loaded, ordinary batch normalisation where training starts anew.

    What torchvision does without a word where other heads stand on a classifier: statistics of random weights mean
    nothing, so there is nothing to freeze. Its defaults are theirs, which differ from the eps of
    0.001 that some classifiers were trained with.
    """

    kind: Annotated[Literal["auto"], Field(description="Which normalisation.")] = "auto"
    eps: Annotated[float, Field(gt=0, le=1, description="Added to the variance.")] = 1e-5
    momentum: Annotated[float, Field(gt=0, le=1, description="Share of a batch in the running statistics.")] = 0.1

    def settled(self, *, pretrained: bool) -> BatchNormSpec | FrozenBatchNormSpec:
        """The normalisation it stands for."""
        return FrozenBatchNormSpec(eps=self.eps) if pretrained else BatchNormSpec(eps=self.eps, momentum=self.momentum)


def _named(value: Any) -> Any:
    """`norm: auto` is short for `norm: {kind: auto}`."""
    return {"kind": value} if isinstance(value, str) else value


_HeadNorm = Annotated[BatchNormSpec | FrozenBatchNormSpec | GroupNormSpec, Field(discriminator="kind")]
_Norm = Annotated[BatchNormSpec | FrozenBatchNormSpec | GroupNormSpec | AutoNormSpec, Field(discriminator="kind")]

#: What a head may choose; whether weights are loaded decides about backbones only.
HeadNormSpec = Annotated[
    _HeadNorm,
    BeforeValidator(_named, json_schema_input_type=_HeadNorm | Literal["batch", "frozen_batch", "group"]),
]

NormSpec = Annotated[
    _Norm,
    BeforeValidator(_named, json_schema_input_type=_Norm | Literal["batch", "frozen_batch", "group", "auto"]),
]


def group_findings(norm: Spec | None, channels: Iterable[int], *path: str) -> Iterator[Finding]:
    """Channel counts that do not divide into the groups of a group normalisation; nothing for other norms.

    Args:
        path: keys that lead from the reporting part to the norm.
    """
    if not isinstance(norm, GroupNormSpec):
        return
    counts = set(channels)
    odd = sorted(count for count in counts if count % norm.groups)
    if odd:
        most = next(groups for groups in (32, 16, 8, 4, 2, 1) if all(count % groups == 0 for count in counts))
        text = f"{odd[0]} channels do not divide into {norm.groups} groups"
        yield Finding("REG201", (*path, "groups"), text, f"write {most}, which divides every channel count")
