"""Quantized graphs as ExecuTorch lowers them: sizes that are read, and tensors that integers and floats share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from registry_export.common import quiet
from registry_export.rounded import read_apart
from registry_export.sizes import read_sizes_later
from torch import nn
from torch.fx import Graph, GraphModule
from torch.nn import functional

pytest.importorskip("executorch")
pytest.importorskip("torchao")


class Pyramid(nn.Module):
    """Two maps, of which the smaller one is enlarged to the size of the other and added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 1, stride=2), nn.Conv2d(8, 8, 1, stride=2)
        self.one, self.two, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.first(images).relu()
        one, two = self.one(first).relu(), self.two(self.second(first).relu()).relu()
        return self.last(one + functional.interpolate(two, size=one.shape[-2:], mode="bilinear"))


def lowered(module: nn.Module, shapes: Any, passes: list[Any], left: tuple[str, ...]) -> Callable[[int], float]:
    """Quantizes and lowers a module; gives a function of an image's side to the largest difference between graph and program,
    as a share of the largest magnitude.

    Args:
        left: what operators stay in floats, by words in their names.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from executorch.runtime import Runtime
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    images = torch.randn(1, 3, 64, 64)
    with quiet(), torch.no_grad():
        graph = torch.export.export(module.eval(), (images,), dynamic_shapes=shapes).module(check_guards=False)
        for each in passes[:1]:
            each(graph)
        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        quantizer.set_filter_function(lambda node: not any(word in str(node.target) for word in left))
        prepared = prepare_pt2e(graph, quantizer)
        prepared(images)
        program = torch.export.export(convert_pt2e(prepared), (images,), dynamic_shapes=shapes)
        edge = to_edge_transform_and_lower(
            program,
            transform_passes=passes,
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        data = bytes(edge.to_executorch().buffer)
    loaded = Runtime.get().load_program(data)
    method = loaded.load_method("forward")

    def share(side: int, kept: Any = (data, loaded)) -> float:
        picture = torch.randn(1, 3, side, side)
        with torch.no_grad():
            wanted = program.module()(picture)
        (found,) = method.execute([picture])
        assert wanted.std() > 0.1
        return float((wanted - found).abs().max() / wanted.abs().max())

    return share


def test_a_layer_in_integers_whose_size_is_read_is_lowered_and_gives_the_same() -> None:
    torch.manual_seed(0)
    height, width = torch.export.Dim("height", min=2, max=16), torch.export.Dim("width", min=2, max=16)
    share = lowered(Pyramid(), ({2: height * 8, 3: width * 8},), [read_sizes_later, read_apart], ("add",))
    assert share(64) < 0.05
    assert share(128) < 0.05


def test_each_use_of_a_rounded_tensor_has_a_dequantization_of_its_own() -> None:
    operators = torch.ops.quantized_decomposed
    graph = Graph()
    image = graph.placeholder("image")
    numbers = (0.5, 0, -128, 127, torch.int8)
    rounded = graph.call_function(operators.quantize_per_tensor.default, (image, *numbers))
    floats = graph.call_function(operators.dequantize_per_tensor.default, (rounded, *numbers))
    users = [graph.call_function(torch.ops.aten.relu.default, (floats,)) for _ in range(3)]
    graph.output(tuple(users))
    module = GraphModule(nn.Module(), graph)
    before = module(torch.tensor([1.2, -3.0]))
    assert read_apart(module).modified
    assert len({user.args[0] for user in users}) == 3
    assert [each.tolist() for each in module(torch.tensor([1.2, -3.0]))] == [each.tolist() for each in before]
    assert not read_apart(module).modified


def test_a_size_that_is_read_of_no_layer_in_integers_stays() -> None:
    class Halved(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images + 1).reshape(images.shape[0], images.shape[1] * images.shape[2], -1)

    side = torch.export.Dim("side", min=2, max=64)
    program = torch.export.export(Halved(), (torch.ones(1, 3, 8, 8),), dynamic_shapes=({2: side},))
    before = str(program.graph_module.graph)
    found = read_sizes_later(program.graph_module)
    assert not found.modified
    assert str(program.graph_module.graph) == before
