"""Signal-to-noise of each layer: what rounding its weights, inputs and outputs does to it, everything before it in float.

The rounding is computed on the float model, so that it is told alike for every scheme and engine, and needs no file. A layer is
a convolution or linear layer with the batch norm that takes its output, seen through the activation behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

#: Layers that schemes quantize.
KINDS = (nn.Conv2d, nn.Linear)
#: Steps between the least and the greatest integer of eight bits.
_STEPS = 255
#: Values beyond which an activation changes nothing.
_BOUNDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.ReLU: (0.0, math.inf),
    nn.ReLU6: (0.0, 6.0),
    nn.Hardswish: (-3.0, math.inf),
    nn.Hardsigmoid: (-3.0, 3.0),
}
#: Pictures that layers are measured on; ranges come from them too.
MEASURED = 16
#: Values of a tensor from which its range is chosen.
_SAMPLE = 16384
#: Parts of the full range that are tried; what lies outside is clipped.
_CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True)
class LayerSignal:
    """A layer and its signal-to-noise ratio.

    Attributes:
        name: of the module in the model.
        kind: `depthwise`, `conv` or `linear`.
        decibels: ten times the logarithm of signal power over noise power, infinite without noise.
    """

    name: str
    kind: str
    decibels: float


@dataclass
class _Layer:
    """A layer with what is fused into it.

    Attributes:
        norm: factor and shift (C, 1, 1) of the batch norm that takes its output.
        bounds: values beyond which the activation that takes that changes nothing.
        given, made: sampled values of inputs and outputs.
    """

    module: nn.Module
    norm: tuple[torch.Tensor, torch.Tensor] | None = None
    bounds: tuple[float, float] | None = None
    given: list[torch.Tensor] = field(default_factory=list)
    made: list[torch.Tensor] = field(default_factory=list)
    power: float = 0.0
    error: float = 0.0

    def output(self, given: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """What the fused layer returns with that weight."""
        found = _through(self.module, given, weight)
        if self.norm is not None:
            found = found * self.norm[0] + self.norm[1]
        return found if self.bounds is None else found.clamp(*self.bounds)


def kind_of(module: nn.Module) -> str:
    """`linear`, `depthwise` for a convolution with one input channel a group, or `conv`."""
    if isinstance(module, nn.Linear):
        return "linear"
    assert isinstance(module, nn.Conv2d)
    return "depthwise" if module.groups > 1 and module.groups == module.in_channels else "conv"


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every layer that schemes quantize, by name, in the order of the modules."""
    return {name: module for name, module in model.named_modules() if isinstance(module, KINDS)}


def layer_signals(
    model: nn.Module,
    batches: Sequence[Any],
    *,
    per_channel: bool = True,
    outputs: bool = True,
) -> list[LayerSignal]:
    """The layers that ran, the noisiest first.

    Args:
        model: float, in eval mode; it is left as it was.
        batches: inputs of the model, of which the first pictures are measured.
        per_channel: a scale for each output channel of the weights, or one for all.
        outputs: round outputs too, as schemes do that have rounded numbers between all operators.
    """
    batches = _first(batches, MEASURED)
    found = {name: _Layer(module) for name, module in layers_of(model).items()}
    _find_fused(model, found, batches[:1])

    def sample(layer: _Layer, given: torch.Tensor) -> None:
        layer.given.append(_sampled(given))
        layer.made.append(_sampled(layer.output(given, layer.module.weight)))  # type: ignore[arg-type]  # a tensor

    _run(model, found, batches, sample)
    found = {name: layer for name, layer in found.items() if layer.given}
    rounders = {
        id(layer): (
            _rounder(layer.given),
            _rounder(layer.made) if outputs else _as_it_is,
            _rounded_weight(layer.module, per_channel),
        )
        for layer in found.values()
    }

    def measure(layer: _Layer, given: torch.Tensor) -> None:
        inputs, outputs, weight = rounders[id(layer)]
        exact = layer.output(given, layer.module.weight)  # type: ignore[arg-type]  # a tensor
        noise = exact - outputs(layer.output(inputs(given), weight))
        layer.power += float(exact.double().square().sum())
        layer.error += float(noise.double().square().sum())

    _run(model, found, batches, measure)
    told = [LayerSignal(name, kind_of(layer.module), _ratio(layer.power, layer.error)) for name, layer in found.items()]
    return sorted(told, key=lambda layer: layer.decibels)


def decibels(wanted: torch.Tensor, found: torch.Tensor) -> float:
    """Signal-to-noise ratio of a tensor that should be another one of its shape."""
    exact = wanted.double()
    return _ratio(float(exact.square().sum()), float((exact - found.double()).square().sum()))


def _ratio(power: float, error: float) -> float:
    if error == 0:
        return math.inf
    return 10 * math.log10(power / error) if power > 0 else -math.inf


def _first(batches: Iterable[Any], count: int) -> list[Any]:
    """Batches until there are so many pictures."""
    found: list[Any] = []
    pictures = 0
    for batch in batches:
        if pictures >= count:
            break
        found.append(batch[: count - pictures])
        pictures += len(batch)
    return found


def _copied(batch: Any) -> Any:
    return batch.clone() if isinstance(batch, torch.Tensor) else list(batch)


def _run(
    model: nn.Module, layers: dict[str, _Layer], batches: Iterable[Any], seen: Callable[[_Layer, torch.Tensor], None]
) -> None:
    busy = False

    def hook(layer: _Layer) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def called(module: nn.Module, given: tuple[Any, ...]) -> None:
            nonlocal busy
            if busy or not given[0].numel():
                return
            busy = True  # what is computed in here calls the layer too
            try:
                seen(layer, given[0])
            finally:
                busy = False

        return called

    handles = [layer.module.register_forward_pre_hook(hook(layer)) for layer in layers.values()]
    try:
        with torch.no_grad():
            for batch in batches:
                model(_copied(batch))
    finally:
        for handle in handles:
            handle.remove()


def _find_fused(model: nn.Module, layers: dict[str, _Layer], batches: Iterable[Any]) -> None:
    """Finds each layer's batch norm and activation by whose output they take."""
    owner: dict[int, _Layer] = {}
    kept: list[torch.Tensor] = []  # so that no two tensors have one identity

    def owned(layer: _Layer, output: torch.Tensor) -> None:
        owner[id(output)] = layer
        kept.append(output)

    def after_layer(layer: _Layer) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        return lambda module, given, output: owned(layer, output)

    def after_norm(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        layer = owner.get(id(given[0]))
        if layer is not None and layer.norm is None and layer.bounds is None:
            layer.norm = _factor_and_shift(module)
            owned(layer, output)

    def before_activation(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        layer = owner.get(id(given[0]))
        if layer is not None and layer.bounds is None:
            layer.bounds = _BOUNDS[type(module)]

    handles = [layer.module.register_forward_hook(after_layer(layer)) for layer in layers.values()]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            handles.append(module.register_forward_hook(after_norm))
        elif type(module) in _BOUNDS:
            handles.append(module.register_forward_pre_hook(before_activation))
    try:
        with torch.no_grad():
            for batch in batches:
                model(_copied(batch[:1]))
    finally:
        for handle in handles:
            handle.remove()


def _factor_and_shift(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        factor = factor * norm.weight.detach()
    shift = (norm.bias.detach() if norm.affine else 0) - norm.running_mean * factor
    return factor[:, None, None], shift[:, None, None]


def _through(module: nn.Module, given: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A layer's output with another weight, with the padding of its own class."""
    if isinstance(module, nn.Linear):
        return nn.functional.linear(given, weight, module.bias)
    assert isinstance(module, nn.Conv2d)
    own = module.weight
    try:
        module.weight = nn.Parameter(weight, requires_grad=False)
        return module.forward(given)
    finally:
        module.weight = own


def _rounded_weight(module: nn.Module, per_channel: bool) -> torch.Tensor:
    weight: torch.Tensor = module.weight.detach()  # type: ignore[operator]  # a layer's weight is a tensor
    peak = weight.abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True) if per_channel else weight.abs().max()
    scale = (peak / (_STEPS // 2)).clamp_min(torch.finfo(torch.float32).tiny)
    return (weight / scale).round() * scale


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _sampled(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().flatten()
    ends = torch.stack([flat.min(), flat.max()])
    return torch.cat([flat[:: max(1, flat.numel() // _SAMPLE)], ends])


def _rounder(samples: Sequence[torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rounding to the range, among clipped ones, that is least wrong on the samples."""
    values = torch.cat(list(samples))
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))

    def rounding(clip: float) -> Callable[[torch.Tensor], torch.Tensor]:
        scale = (high - low) * clip / _STEPS
        if scale == 0:
            return lambda tensor: tensor
        zero = round(-low * clip / scale)
        return lambda tensor: ((tensor / scale).round() + zero).clamp(0, _STEPS).sub(zero) * scale

    return min(map(rounding, _CLIPS), key=lambda rounded: float((rounded(values) - values).square().sum()))
