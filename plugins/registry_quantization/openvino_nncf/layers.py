"""Which operations of a converted model are which layers: told by weights, as names get lost where batch norms are folded.

Source: OpenVINO's `Convolution`, `GroupConvolution` and `MatMul`. Folding a batch norm multiplies each output channel of the
weights by a number, so that a layer is known by the directions of its channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from registry.errors import RegistryError
from registry_quantization.by_weights import Weight, layers_with, rows

#: Types of the operations that layers become.
KINDS = ("Convolution", "GroupConvolution", "MatMul")
#: Operations between integers and what takes them as weights.
_BETWEEN = ("Convert", "FakeQuantize", "Reshape", "Multiply", "Subtract")


def name_operations(model: Any, layers: Mapping[str, nn.Module], chosen: Collection[str]) -> dict[str, str]:
    """Finds the layers' operations and gives them the layers' names.

    Args:
        model: of OpenVINO, float; its operations get new friendly names.
        layers: by name; each may be called several times, or not at all.
        chosen: names of layers that are quantized.

    Returns:
        the layer's name by the operation's new friendly name. Operations of no layer are left out.

    Raises:
        RegistryError: several layers have the same weights, and some of them are chosen and some not.
    """
    known = {name: rows(layer.weight.detach().cpu().numpy()) for name, layer in layers.items()}  # type: ignore[operator]  # a tensor
    found = list(_with_weights(model))
    fitting = [layers_with(weight, known) for _, weight in found]
    certain = {names[0] for names in fitting if len(names) == 1}
    told: dict[str, str] = {}
    taken: dict[str, int] = {}
    for (operation, _), names in zip(found, fitting, strict=True):
        if not names:
            continue
        name = names[0] if len(names) == 1 else _one_of(operation, names, certain, taken, chosen)
        count = taken[name] = taken.get(name, 0) + 1
        own = name if count == 1 else f"{name}#{count}"
        operation.set_friendly_name(own)
        told[own] = name
    return told


def is_quantized(operation: Any) -> bool:
    """True where an operation takes integers as weights."""
    source = operation.input_value(1).get_node()
    while source.get_type_name() in _BETWEEN:
        source = source.input_value(0).get_node()
    return source.get_type_name() == "Constant" and source.get_element_type().get_type_name() in ("i8", "u8")


def operations(model: Any) -> Iterator[Any]:
    """Every operation, each after those whose outputs it takes; those within branches too."""
    for operation in model.get_ordered_ops():
        yield operation
        if operation.get_type_name() == "If":
            for index in range(2):
                yield from operations(operation.get_function(index))


def _with_weights(model: Any) -> Iterator[tuple[Any, Weight]]:
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        if kind not in KINDS:
            continue
        source = operation.input_value(1).get_node()
        if source.get_type_name() == "Convert":
            source = source.input_value(0).get_node()
        if source.get_type_name() != "Constant":
            continue
        weight = np.asarray(source.data, dtype=np.float32)
        if kind == "GroupConvolution":  # (groups, outputs of each, …)
            weight = weight.reshape(-1, *weight.shape[2:])
        elif kind == "MatMul" and not operation.get_attributes()["transpose_b"]:
            weight = np.swapaxes(weight, -1, -2)
        yield operation, rows(weight)


def _one_of(
    operation: Any, names: list[str], certain: Collection[str], taken: Mapping[str, int], chosen: Collection[str]
) -> str:
    """The layer among several of the same weights: one that the operation's names tell, or any where it makes no difference."""
    texts = [each.get_friendly_name() for each in (operation, operation.input_value(1).get_node())]
    left = [name for name in names if any(_tells(text, name) for text in texts)] or names
    left = [name for name in left if name not in certain] or left
    if len({name in chosen for name in left}) > 1:
        raise RegistryError(
            f"the layers {', '.join(left[:4])} have the same weights, so that OpenVINO's graph cannot tell them apart, and "
            "only some of them are to be quantized; name all or none of them in quantization.float_modules"
        )
    return min(left, key=lambda name: taken.get(name, 0))


def _tells(text: str, name: str) -> bool:
    return f".{name}/" in text or f".{name}.weight" in text
