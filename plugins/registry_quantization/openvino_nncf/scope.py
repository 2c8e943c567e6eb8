"""Operations of a converted model that NNCF is told to leave alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from registry.modules.split import can_split, split_of
from registry_quantization.openvino_nncf.layers import operations
from registry_quantization.specs import OpenVINOSpec

#: End of the names of operations that do nothing, and are there while NNCF looks at the graph.
_APART = "/apart"
#: Types that are no operations for NNCF to round.
_NOTHING = ("Constant", "Parameter", "Result")


def ignored(
    spec: OpenVINOSpec, model: nn.Module, graph: Any, names: dict[str, str], chosen: Collection[str]
) -> list[str]:
    """Names of the operations that stay float: all but the chosen layers', and others where the scheme takes them.

    Args:
        names: layers by the names of their operations.
        chosen: names of layers.
    """
    rounded = {own for own, layer in names.items() if layer in chosen}
    if spec.operations == "all":
        rounded |= _others(model, graph, names, rounded)
    found = {
        operation.get_friendly_name() for operation in operations(graph) if operation.get_type_name() not in _NOTHING
    }
    return sorted(found - rounded)


def _others(model: nn.Module, graph: Any, names: dict[str, str], rounded: set[str]) -> set[str]:
    """Names of operations of no layer that may be rounded: all, or of a model in parts those between layers of one part."""
    free = {operation.get_friendly_name() for operation in graph.get_ordered_ops()} - set(names)
    if not can_split(model):
        return free
    known = {id(module): name for name, module in model.named_modules()}
    found: set[str] = set()
    for part in split_of(model).parts.values():
        layers = {known.get(id(module)) for module in part.modules()}
        own = {operation for operation in rounded if names[operation] in layers}
        found |= _after(graph, own) & _before(graph, own)
    return found & free


def _after(graph: Any, sources: set[str]) -> set[str]:
    found = set(sources)
    for operation in graph.get_ordered_ops():
        if any(value.get_node().get_friendly_name() in found for value in operation.input_values()):
            found.add(operation.get_friendly_name())
    return found


def _before(graph: Any, targets: set[str]) -> set[str]:
    found = set(targets)
    for operation in reversed(graph.get_ordered_ops()):
        if operation.get_friendly_name() in found:
            found |= {value.get_node().get_friendly_name() for value in operation.input_values()}
    return found


def part_patterns(engine: Any, graph: Any) -> None:
    """Puts an operation that does nothing before each mean, as NNCF leaves squeeze-and-excitation blocks alone that it sees."""
    for operation in graph.get_ordered_ops():
        if operation.get_type_name() == "ReduceMean":
            source = operation.input_value(0)
            apart = engine.opset8.convert(source, source.get_element_type().to_string())
            apart.set_friendly_name(operation.get_friendly_name() + _APART)
            operation.input(0).replace_source_output(apart.output(0))


def join_patterns(graph: Any) -> None:
    """Takes those operations away."""
    for operation in graph.get_ordered_ops():
        if operation.get_type_name() == "Convert" and operation.get_friendly_name().endswith(_APART):
            for taker in operation.output(0).get_target_inputs():
                taker.replace_source_output(operation.input_value(0))
    graph.validate_nodes_and_infer_types()
