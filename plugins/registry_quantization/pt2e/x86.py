"""The scheme `x86`: torchao's PT2E flow with the quantizer of Inductor on x86."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from registry_export.common import quiet
from registry_export.engines import require
from torch.fx import GraphModule, Node

from registry_quantization.dot_products import has_dot_products
from registry_quantization.pt2e.graphs import GraphScheme
from registry_quantization.specs import X86Spec


def _quantizer(spec: X86Spec, allowed: Callable[[Node], bool], aware: bool) -> Any:
    with quiet():
        own: Any = require(
            "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer", "quantize", "quantizing with x86"
        )

    class Sparing(own.X86InductorQuantizer):  # type: ignore[misc]  # a class of an optional package
        """Leaves alone what stays float."""

        def annotate(self, model: GraphModule) -> GraphModule:
            found: GraphModule = super().annotate(model)
            for node in found.graph.nodes:
                if node.op == "call_function" and not allowed(node):
                    node.meta.pop("quantization_annotation", None)
            return found

    settings = own.get_default_x86_inductor_quantization_config(is_qat=aware, reduce_range=not has_dot_products())
    return Sparing().set_global(settings)


quantize = GraphScheme(_quantizer)
