"""The backbone: stages of a timm model, up to the last map that the spec offers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from timm.layers.norm_act import freeze_batch_norm_2d
from torch import nn

from registry.errors import RegistryError
from registry.suggest import did_you_mean
from registry_timm.specs import TimmSpec
from registry_timm.stages import create, stages_of, told_maps


def build(spec: TimmSpec) -> nn.Sequential:
    """The stages one after the other, initialised as timm does it.

    Shapes: (N, in_channels, H, W) to (N, channels, H / stride, W / stride) of the last map, rounded up.

    Raises:
        RegistryError: timm has no such model, cannot build it with these settings or as a chain of modules, or says other
            things about its maps than the spec.
    """
    settings: dict[str, Any] = {"in_chans": spec.in_channels}
    if spec.dilates():
        settings["output_stride"] = spec.output_stride
    if spec.drop_path_rate:
        settings["drop_path_rate"] = spec.drop_path_rate
    features = create(spec.model, **settings)
    stages = stages_of(spec.model, features)
    _check_maps(spec, features, list(stages))
    last = list(stages).index(spec.feature_maps()[-1].module)
    backbone = nn.Sequential(OrderedDict(list(stages.items())[: last + 1]))
    if spec.norm == "frozen_batch":
        freeze_batch_norm_2d(backbone)  # type: ignore[no-untyped-call]  # replaces them in place
    return backbone


def _check_maps(spec: TimmSpec, features: nn.Module, names: list[str]) -> None:
    """Holds the spec's maps to the stages that there are and to what timm says about them."""
    told = {info["module"].replace(".", "_"): info for info in told_maps(features)}
    place = -1
    for feature in spec.feature_maps():
        if feature.module not in names:
            hint = did_you_mean(feature.module, names) or f"its stages: {', '.join(names)}"
            raise RegistryError(
                f"the map `{feature.name}` of `{spec.model}` comes from `{feature.module}`, which timm does not have; {hint}"
            )
        if names.index(feature.module) <= place:
            raise RegistryError(f"the map `{feature.name}` of `{spec.model}` does not lie after the one before it")
        place = names.index(feature.module)
        info = told.get(feature.module)
        if info is not None and (info["num_chs"], info["reduction"]) != (feature.channels, feature.stride):
            raise RegistryError(
                f"the map `{feature.name}` of `{spec.model}` is declared with {feature.channels} channels and stride "
                f"{feature.stride}, and timm's has {info['num_chs']} and {info['reduction']}; "
                f"`python -m registry_timm.tabulate {spec.model}` prints what to declare"
            )
