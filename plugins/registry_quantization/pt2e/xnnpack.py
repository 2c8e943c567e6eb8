"""The scheme `xnnpack`: torchao's PT2E flow with the quantizer that ExecuTorch has for XNNPACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry_export.common import quiet
from registry_export.engines import require
from torch.fx import GraphModule, Node

from registry_quantization.pt2e.clipping import clip_ranges
from registry_quantization.pt2e.graphs import GraphScheme
from registry_quantization.specs import XnnpackSpec


def _quantizer(spec: XnnpackSpec, allowed: Callable[[Node], bool], aware: bool) -> Any:
    with quiet():
        require("torchao", "quantize", "quantizing with xnnpack")
        own: Any = require(
            "executorch.backends.xnnpack.quantizer.xnnpack_quantizer", "quantize", "quantizing with xnnpack"
        )

    class Clipping(own.XNNPACKQuantizer):  # type: ignore[misc]  # a class of an optional package
        """Spends no steps on values that the activation behind a layer throws away."""

        def annotate(self, model: GraphModule) -> GraphModule:
            found: GraphModule = super().annotate(model)
            clip_ranges(found, aware=aware)
            return found

    settings = own.get_symmetric_quantization_config(is_per_channel=spec.per_channel, is_qat=aware)
    return Clipping().set_global(settings).set_filter_function(allowed)


quantize = GraphScheme(_quantizer)
