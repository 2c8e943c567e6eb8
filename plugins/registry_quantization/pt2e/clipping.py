"""Ranges of what goes into a hard swish or hard sigmoid: below -3 both are nothing, so steps for such values are lost.

XNNPACK's rules round a convolution's output before such an activation; with its full range, mostly below -3, few steps are
left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from registry_export.common import quiet
from registry_export.engines import require
from torch.fx import GraphModule, Node

#: Values beyond which an activation changes nothing.
BOUNDS: dict[str, tuple[float, float]] = {
    "hardswish": (-3.0, float("inf")),
    "hardsigmoid": (-3.0, 3.0),
    "relu": (0.0, float("inf")),
    "relu6": (0.0, 6.0),
}


def bounds_of(node: Node) -> tuple[float, float] | None:
    """What matters of a node's output, if all that use it are activations of one kind; else None."""
    kinds = {str(user.target).removeprefix("aten.").partition(".")[0].rstrip("_") for user in node.users}
    return BOUNDS.get(kinds.pop()) if len(kinds) == 1 else None


def clip_ranges(graph: GraphModule, *, aware: bool) -> None:
    """Lets the observers of annotated nodes before such an activation see clipped values alone.

    Args:
        aware: whether the graph is trained with simulated rounding.
    """
    for node in graph.graph.nodes:
        annotation: Any = node.meta.get("quantization_annotation")
        output: Any = getattr(annotation, "output_qspec", None)
        bounds = bounds_of(node)
        if bounds is not None and getattr(output, "observer_or_fake_quant_ctr", None) is not None:
            annotation.output_qspec = replace(output, observer_or_fake_quant_ctr=_observer(*bounds, aware=aware))


def _observer(low: float, high: float, *, aware: bool) -> Any:
    with quiet():
        own: Any = require("torchao.quantization.pt2e", "quantize", "quantizing with torchao")

    def clipped(base: Any) -> Any:
        class Clipped(base):  # type: ignore[misc]  # a class of an optional package
            """Looks at the values between the bounds."""

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                super().forward(values.detach().clamp(low, high))
                return values

        return Clipped

    if aware:
        return own.FakeQuantize.with_args(observer=clipped(own.MovingAverageMinMaxObserver), eps=2**-12)
    return clipped(own.HistogramObserver).with_args(eps=2**-12)
