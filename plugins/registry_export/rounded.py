"""Tensors that were rounded, and the operators that read them in integers or in floats."""

from __future__ import annotations

from torch.fx import GraphModule
from torch.fx.passes.infra.pass_base import PassResult

from registry_export.sizes import is_call


def read_apart(graph: GraphModule) -> PassResult:
    """Gives each use of a rounded tensor a dequantization of its own.

    XNNPACK's partitioner marks a dequantization that an operator in integers swallows. An operator in floats that reads the
    same node would then take integers for floats.
    """
    changed = False
    for node in list(graph.graph.nodes):
        if not is_call(node, "dequantize_per_tensor"):
            continue
        for user in list(node.users)[1:]:
            with graph.graph.inserting_after(node):
                own = graph.graph.node_copy(node)
            user.replace_input_with(node, own)
            changed = True
    if changed:
        graph.recompile()
    return PassResult(graph, changed)
