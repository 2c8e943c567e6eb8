"""Settings of a timm backbone, and of EfficientNet's classifier."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from registry.errors import RegistryError
from registry.specs import (
    BackboneSpec,
    BatchNormSpec,
    FeatureMap,
    Finding,
    HeadNormSpec,
    HeadSpec,
    Listed,
    group_findings,
    per_spec,
)
from registry_timm import table

_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


def _named(model: str) -> str:
    """Refuses what names weights, an address or a path, which timm would look up."""
    if not _NAME.fullmatch(model):
        raise ValueError(
            "models of timm are named in lower-case letters, digits and `_`, without a tag of weights: "
            "`resnet18`, and not `resnet18.a1_in1k`"
        )
    return model


Index = Annotated[int, Field(ge=0, le=63)]


class TimmSpec(BackboneSpec):
    """A model of timm (PyTorch Image Models), cut before its classifier. Random weights; timm fetches nothing.

    Its feature maps come from the plugin's table, or from `maps`, so that the spec is checked without torch and timm.
    """

    type: Annotated[Literal["timm"], Field(description="Registered type of the part.")] = "timm"
    model: Annotated[
        str,
        Field(
            max_length=100,
            description="timm's name of the model without the tag of weights, such as `mobilenetv4_conv_small`.",
            json_schema_extra={"pattern": f"^{_NAME.pattern}$"},
        ),
        AfterValidator(_named),
    ]
    maps: Annotated[
        Annotated[Listed[FeatureMap], Field(min_length=1, max_length=64)] | None,
        Field(description="Feature maps without `output_stride`, finest first; null: those of the plugin's table."),
    ] = None
    out_indices: Annotated[
        Annotated[Listed[Index], Field(min_length=1, max_length=64)] | None,
        Field(description="Which maps are offered, counted from 0; layers after the last are left out. Null: all."),
    ] = None
    output_stride: Annotated[
        Literal[8, 16, 32] | None, Field(description="Input pixels per output step; strides past it become dilations.")
    ] = None
    drop_path_rate: Annotated[
        float, Field(ge=0, lt=1, description="Stochastic depth: probability of dropping the last block in training.")
    ] = 0.0
    norm: Annotated[
        Literal["batch", "frozen_batch", "auto"],
        Field(
            description="`batch`: the model's own norms; `frozen_batch`: its batch norms with fixed statistics and "
            "factors; `auto`: frozen where weights are loaded."
        ),
    ] = "batch"

    def own_maps(self) -> tuple[FeatureMap, ...]:
        """Every map of the model at the strides it was designed with.

        Raises:
            RegistryError: they stand neither in the spec nor in the table.
        """
        if self.maps is not None:
            return self.maps
        entry = table.find(self.model)
        if entry is None:
            raise RegistryError(": ".join(_no_maps(self.model)))
        return entry.maps

    @per_spec
    def feature_maps(self) -> tuple[FeatureMap, ...]:
        """The chosen maps, none coarser than the output stride."""
        own = self.own_maps()
        chosen = own if self.out_indices is None else [own[index] for index in self.out_indices if index < len(own)]
        limit = self.output_stride or own[-1].stride
        return tuple(m if m.stride <= limit else m.model_copy(update={"stride": limit}) for m in chosen)

    def dilates(self) -> bool:
        """Whether the output stride changes anything."""
        return self.output_stride is not None and self.output_stride < self.own_maps()[-1].stride

    def settled(self, *, pretrained: bool) -> BackboneSpec:
        """As of every backbone, and `auto` norms decided."""
        settled = super().settled(pretrained=pretrained)
        if self.norm == "auto":
            settled = settled.model_copy(update={"norm": "frozen_batch" if pretrained else "batch"})
        return settled

    def check(self) -> Iterable[Finding]:
        """A model without a table, and settings that do not fit its maps."""
        entry = table.find(self.model)
        if self.maps is None and entry is None:
            text, hint = _no_maps(self.model)
            yield Finding("REG201", ("model",), text, hint)
            return
        yield from self._map_findings()
        yield from self._index_findings()
        yield from self._stride_findings(entry)
        if self.drop_path_rate and entry is not None and not entry.drop_path:
            text = f"`{self.model}` has no stochastic depth in timm"
            yield Finding("REG201", ("drop_path_rate",), text, "remove the key")

    def _map_findings(self) -> Iterator[Finding]:
        for index, feature in enumerate(self.maps or ()):
            before = (self.maps or ())[:index]
            if feature.name in {other.name for other in before}:
                text = f"two maps are called `{feature.name}`"
                yield Finding("REG201", ("maps", index, "name"), text, "give each a name of its own")
            if before and feature.stride < before[-1].stride:
                text = f"stride {feature.stride} comes after {before[-1].stride}"
                yield Finding("REG201", ("maps", index, "stride"), text, "write the finest map first")
            if "." in feature.module:
                flat = feature.module.replace(".", "_")
                text = f"`{feature.module}` lies inside another module, and stages of this backbone lie side by side"
                yield Finding("REG201", ("maps", index, "module"), text, f"write `{flat}` for a module of a container")

    def _index_findings(self) -> Iterator[Finding]:
        count = len(self.own_maps())
        for index, wanted in enumerate(self.out_indices or ()):
            if wanted >= count:
                text = f"there is no map {wanted}: the model has {count}"
                yield Finding("REG201", ("out_indices", index), text, f"write 0 to {count - 1}")
        for index, (before, after) in enumerate(itertools.pairwise(self.out_indices or ()), start=1):
            if after <= before:
                text = f"map {after} comes after {before}"
                yield Finding("REG201", ("out_indices", index), text, "write each once, the finest first")

    def _stride_findings(self, entry: table.TableEntry | None) -> Iterator[Finding]:
        nominal, wanted = self.own_maps()[-1].stride, self.output_stride
        if wanted is not None and wanted > nominal:
            text = f"the strides of `{self.model}` multiply to {nominal}, so the output stride cannot be {wanted}"
            yield Finding(
                "REG201", ("output_stride",), text, f"write at most {nominal}" if nominal >= 8 else "write null"
            )
        elif self.dilates() and entry is not None and wanted not in entry.output_strides:
            allowed = ", ".join(map(str, entry.output_strides)) or "null"
            text = f"timm cannot build `{self.model}` with an output stride of {wanted}"
            yield Finding("REG201", ("output_stride",), text, f"write {allowed}, or take another model")


class EfficientNetClassifierSpec(HeadSpec):
    """A 1x1 convolution, its norm and non-linearity, pooling, dropout and one linear layer.

    timm: `EfficientNet.conv_head`, `bn2` and `classifier`, under those names. Paper: arXiv 1905.11946, table 1, stage 9.
    """

    type: Annotated[Literal["efficientnet_classifier"], Field(description="Registered type of the part.")] = (
        "efficientnet_classifier"
    )
    task: ClassVar[str] = "classification"

    hidden_channels: Annotated[int, Field(ge=1, le=65536, description="Channels of the 1x1 convolution.")] = 1280
    activation: Annotated[
        Literal["silu", "relu6", "relu"], Field(description="Non-linearity after it; `relu6` in the Lite models.")
    ] = "silu"
    norm: Annotated[HeadNormSpec, Field(description="Normalisation after the convolution.")] = BatchNormSpec()
    dropout: Annotated[float, Field(ge=0, lt=1, description="Probability of dropping a feature in training.")] = 0.2

    def check(self) -> Iterable[Finding]:
        """Groups that do not divide the channels."""
        return group_findings(self.norm, [self.hidden_channels], "norm")


def _no_maps(model: str) -> tuple[str, str]:
    """What is said of a model whose maps are not known, and what to do about it."""
    text = f"the feature maps of `{model}` are not in this plugin's table"
    close = difflib.get_close_matches(model, table.models(), n=1, cutoff=0.9)  # a slip, and no other model
    hint = (
        f"declare them: maps: [{{name: c2, channels: 24, stride: 4, module: blocks_1}}, ...], "
        f"as `python -m registry_timm.tabulate {model}` prints them"
    )
    return text, f"did you mean `{close[0]}`? Else {hint}" if close else hint
