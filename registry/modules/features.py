"""A backbone cut to the feature maps that a head asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from registry.specs import FeatureMap


class FeatureExtractor(nn.ModuleDict):
    """The layers of a backbone one after the other, as far as they are needed, with the wanted maps under new names.

    Shapes: (N, C, H, W) to an ordered dict of (N, channels, about H / stride, about W / stride), from the finest map to
    the last. The layers keep their names, without that of the stage that holds them all, so that state dicts have the
    keys of torchvision's `models._utils.IntermediateLayerGetter`. Can be scripted.
    """

    __annotations__ = {"returned": dict[str, str]}

    def __init__(self, backbone: nn.Module, maps: Mapping[str, FeatureMap]) -> None:
        """Takes the layers over from `backbone`; `maps` gives each wanted map the name under which it is returned."""
        holder = _holder(maps)
        stage = backbone.get_submodule(holder)
        wanted = {feature.module.removeprefix(f"{holder}."): name for name, feature in maps.items()}
        names = [name for name, _ in stage.named_children()]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"the backbone has no layer `{missing[0]}` among {', '.join(names)}")
        last = max(names.index(name) for name in wanted)
        super().__init__(OrderedDict(list(stage.named_children())[: last + 1]))
        self.returned = wanted

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Runs the layers."""
        maps: dict[str, torch.Tensor] = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.returned:
                maps[self.returned[name]] = x
        return maps


def _holder(maps: Mapping[str, FeatureMap]) -> str:
    """Path of the module that holds the layers of all maps; empty for the backbone itself."""
    return next(iter(maps.values())).module.rpartition(".")[0]
