"""Which layers of a model a scheme quantizes, and which stay float."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry.modules.split import can_split, split_of
from registry_quantization.signal import LayerSignal, kind_of, layer_signals, layers_of
from registry_quantization.specs import SchemeSpec

#: The part of a detector whose layers are quantized where no more is asked for.
BACKBONE = "backbone"


@dataclass(frozen=True)
class Choice:
    """What a scheme does with the layers of a model.

    Attributes:
        quantized, left: names of layers, in the order of the modules.
        signals: of the layers, the noisiest first.
    """

    quantized: tuple[str, ...]
    left: tuple[str, ...]
    signals: tuple[LayerSignal, ...]


def inputs_of(spec: SchemeSpec, batches: Iterable[Any]) -> list[Any]:
    """What a model is calibrated with: as many of the batches as the scheme takes.

    Raises:
        RegistryError: there is nothing, or something that is no number.
    """
    found = list(itertools.islice(batches, spec.calibration_batches))
    if not found or all(len(batch) == 0 for batch in found):
        raise RegistryError(
            "nothing was given to calibrate with, and without ranges the answers of a quantized model mean nothing; "
            "give batches of pictures"
        )
    for batch in found:
        tensors = [batch] if isinstance(batch, torch.Tensor) else list(batch)
        if not all(isinstance(tensor, torch.Tensor) and bool(tensor.isfinite().all()) for tensor in tensors):
            raise RegistryError("a batch to calibrate with holds values that are no numbers; look at its pictures")
    return found


def choose(spec: SchemeSpec, model: nn.Module, batches: list[Any]) -> Choice:
    """Decides for every layer.

    Raises:
        RegistryError: a pattern of `float_modules` fits no module, or no layer would be quantized.
    """
    layers = layers_of(model)
    within = _within(spec, model, layers)
    names = {name for name, _ in model.named_modules()}
    left = set(layers) - within
    for pattern in spec.float_modules:
        fitting = set(fnmatch.filter(names, pattern))
        if not fitting:
            raise RegistryError(
                f"quantization.float_modules: no module is called `{pattern}`; layers are {_few(layers)}; `*` stands for any "
                "characters"
            )
        left |= {name for name in layers if any(name == one or name.startswith(f"{one}.") for one in fitting)}
    if not spec.depthwise:
        left |= {name for name, layer in layers.items() if kind_of(layer) == "depthwise"}
    signals = layer_signals(model, batches, per_channel=spec.per_channel, outputs=spec.rounds_outputs)
    told = [signal for signal in signals if signal.name in within]
    if spec.least_signal is not None:
        left |= {signal.name for signal in told if signal.decibels < spec.least_signal}
    quantized = [name for name in layers if name not in left]
    if not quantized:
        best = max((signal.decibels for signal in told), default=0.0)
        raise RegistryError(
            f"every layer would stay float: the cleanest has {best:.1f} dB; lower quantization.least_signal, or leave out "
            "quantization.float_modules"
        )
    return Choice(tuple(quantized), tuple(name for name in layers if name in left), tuple(told))


def _within(spec: SchemeSpec, model: nn.Module, layers: dict[str, nn.Module]) -> set[str]:
    """Layers that are in reach: all of a model that is traced whole, else those of its parts, or of its backbone."""
    if not can_split(model):
        return set(layers)
    reached = {id(module) for part in split_of(model).parts.values() for module in part.modules()}
    named = {name for name, layer in layers.items() if id(layer) in reached}
    if spec.scope == "backbone":
        named = {name for name in named if BACKBONE in name.split(".")}
        if not named:
            raise RegistryError(
                f"no layer is inside of a module called `{BACKBONE}`; quantize every part with quantization.scope: all"
            )
    return named


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:4]) + (f" … {listed[-1]}" if len(listed) > 4 else "")
