"""Where a graph reads the sizes of its tensors, which counts as a use of them.

Tracing reads a size from the first tensor that has it, often a convolution's output in front of its activation. Such a
convolution is neither quantized together with its activation nor taken by XNNPACK in integers.
"""

from __future__ import annotations

import re
from typing import Any

from torch.fx import GraphModule, Node
from torch.fx.passes.infra.pass_base import PassResult

#: Operators behind a layer that belong to it and keep its size.
_FOLLOWING = ("batch_norm", "relu", "relu_", "clamp", "hardtanh", "hardtanh_", "hardswish", "hardswish_")


def read_sizes_later(graph: GraphModule) -> PassResult:
    """Reads each size behind its layer's activation and rounding, where everything that uses it comes later."""
    changed = False
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    for node in list(graph.graph.nodes):
        if not is_call(node, "sym_size"):
            continue
        source: Any = node.args[0]
        behind = _last(source)
        if behind is source or any(order[user] < order[behind] for user in node.users):
            continue
        with graph.graph.inserting_after(behind):
            later = graph.graph.call_function(node.target, (behind, *node.args[1:]))
        later.meta = dict(node.meta)
        order[later] = order[behind]
        node.replace_all_uses_with(later)
        graph.graph.erase_node(node)
        changed = True
    if changed:
        graph.recompile()
    return PassResult(graph, changed)


def _last(source: Node) -> Node:
    """The last node of a layer: behind its norm, its activation and its rounding."""
    for user in source.users:
        if is_call(user, *_FOLLOWING):
            return _last(user)
    for user in source.users:
        if is_call(user, "quantize_per_tensor"):
            return next((_last(each) for each in user.users if is_call(each, "dequantize_per_tensor")), source)
    return source


def is_call(node: Node, *names: str) -> bool:
    """True for a call of one of these operators, however it is wrapped."""
    if node.op != "call_function":
        return False
    found = re.search(r"(?:aten|quantized_decomposed)\.(\w+)", str(node.target))
    return found is not None and found.group(1) in names
