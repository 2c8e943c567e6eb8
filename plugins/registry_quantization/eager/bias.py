"""Weights with steps so wide that biases fit into 32 bits.

QNNPACK keeps a bias as a whole number of steps of input times weight, 32 bits wide. Where the input was zero on every picture,
or a channel's weights are, the step is so small that the bias is cut off, and with it all of the model's accuracy. With wider
steps the weights are coarser by less than the bias itself is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from registry_quantization.eager.engine import ao
from registry_quantization.eager.layers import Between

#: Most steps of a bias, half of what fits.
_MOST = 2.0**30
#: Height and width of an image on which the scales of all tensors are seen; they do not depend on values.
_SIDE = 64


def make_room(model: nn.Module) -> None:
    """Widens steps of weights where they are too small for the bias, in place.

    Args:
        model: converted.
    """
    for layer, step in list(_steps(model)):
        _widen(layer, step)


def _steps(model: nn.Module) -> Iterator[tuple[Any, float]]:
    """Integer layers, and the scale of what each is given."""
    inner = [module for module in model.modules() if isinstance(module, Between)]
    if inner:
        yield from ((module.layer, float(module.quant.scale)) for module in inner)
        return
    kinds = ao("torch.ao.nn.quantized")
    found: dict[Any, float] = {}

    def hook(layer: nn.Module) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        return lambda module, given: found.update({layer: given[0].q_scale()})

    layers = [module for module in model.modules() if isinstance(module, (kinds.Conv2d, kinds.Linear))]
    handles = [layer.register_forward_pre_hook(hook(layer)) for layer in layers]
    try:
        with torch.no_grad():
            model(torch.zeros(1, _channels(model), _SIDE, _SIDE))
    finally:
        for handle in handles:
            handle.remove()
    yield from found.items()


def _channels(model: nn.Module) -> int:
    kinds = (nn.Conv2d, ao("torch.ao.nn.quantized").Conv2d)
    return next(int(module.in_channels) for module in model.modules() if isinstance(module, kinds))


def _widen(layer: Any, step: float) -> None:
    weight, bias = layer.weight(), layer.bias()
    if bias is None:
        return
    least = bias.detach().abs().double() / (step * _MOST)
    if weight.qscheme() == torch.per_tensor_affine:
        if weight.q_scale() < float(least.max()):
            wider = torch.quantize_per_tensor(weight.dequantize(), float(least.max()), 0, weight.dtype)
            layer.set_weight_bias(wider, bias)
        return
    scales = weight.q_per_channel_scales()
    if bool((scales < least).any()):
        zeros, axis = weight.q_per_channel_zero_points(), weight.q_per_channel_axis()
        wider = torch.quantize_per_channel(weight.dequantize(), scales.maximum(least), zeros, axis, weight.dtype)
        layer.set_weight_bias(wider, bias)
