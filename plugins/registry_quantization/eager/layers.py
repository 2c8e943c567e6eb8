"""Layers that are integers each by itself, everything between them float: for models of any architecture."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from registry_mobilenet.layers import Conv2dSame
from torch import nn

from registry_quantization.eager.chains import Chain, SamePadding, chains, plain
from registry_quantization.eager.clipping import BOUNDS, ClippedObserver
from registry_quantization.eager.engine import ao


class Between(nn.Module):
    """A layer between rounding to integers and back.

    Args:
        layer: fused with what is behind it.
        padding: what comes before, if anything.
        config: how values are observed.
        output: how those that it returns are.
    """

    def __init__(self, layer: nn.Module, padding: nn.Module | None, config: Any, output: Any) -> None:
        super().__init__()
        self.padding = padding
        self.quant, self.layer, self.dequant = ao().QuantStub(), layer, ao().DeQuantStub()
        self.quant.qconfig = self.dequant.qconfig = config
        self.layer.qconfig = output

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Float to float."""
        if self.padding is not None:
            given = self.padding(given)
        found: torch.Tensor = self.dequant(self.layer(self.quant(given)))
        return found


def layers_between(model: nn.Module, names: Collection[str], config: Any, *, training: bool) -> tuple[str, ...]:
    """Puts layers between stubs, in place.

    Args:
        model: a copy that may be changed; in eval mode, or in training mode where it will be trained.
        names: of the layers to treat.

    Returns:
        the names of those that were treated; torch has no integer kernels for others.
    """
    done = []
    for name, chain in chains(model).items():
        if name in names:
            _put(chain, config, training)
            done.append(name)
    return tuple(done)


def _put(chain: Chain, config: Any, training: bool) -> None:
    layer = chain.layer
    padding = SamePadding(layer) if isinstance(layer, Conv2dSame) else None
    own = plain(layer) if isinstance(layer, Conv2dSame) else layer
    row = nn.Sequential(own, *(slot.module for slot in chain.behind))
    if len(row) > 1:
        fuse = ao().fuse_modules_qat if training else ao().fuse_modules
        fuse(row, [str(index) for index in range(len(row))], inplace=True)
    made = Between(row[0], padding, config, config if training else _clipped(config, chain.then))
    made.train(training)
    for slot in chain.places:
        slot.put(made)
    for slot in chain.behind:
        slot.put(nn.Identity())


def _clipped(config: Any, activation: nn.Module | None) -> Any:
    """The same observers, but for values that an activation throws away."""
    bounds = None if activation is None else BOUNDS.get(type(activation))
    if bounds is None:
        return config
    settings = config.activation.p.keywords
    return config._replace(activation=ClippedObserver.with_args(bounds=bounds, **settings))
