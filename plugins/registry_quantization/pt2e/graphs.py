"""torchao's PT2E flow: a model captured as a graph, observed or trained with simulated rounding, and converted.

Source: torchao's `quantization.pt2e`. Three of its traits are mended here: batch norms keep their own epsilon and momentum,
modes change by the flags of operators alone, and what comes out pickles.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from registry_export.common import quiet
from registry_export.engines import require
from registry_export.sizes import read_sizes_later
from registry_export.specs import TorchExportSpec
from torch import nn
from torch.fx import GraphModule, Node

from registry.errors import RegistryError
from registry.modules.split import SplitModule, can_split, dynamic_shapes, split_of
from registry.specs import ModelSpec
from registry_quantization.choice import Choice, choose, inputs_of
from registry_quantization.pt2e.bias import make_room
from registry_quantization.pt2e.modes import restore_norms, set_mode, settle_norms
from registry_quantization.specs import SchemeSpec

#: Greatest batch that a captured graph takes.
_LARGEST_BATCH = 1024
#: Operators beside layers that a scheme may quantize or leave alone.
_OTHERS = ("add", "mul", "pool", "cat", "mean")

#: Makes a quantizer of torchao for a scheme: takes whether a node may be quantized, and whether the model is trained.
MakeQuantizer = Callable[[Any, Callable[[Node], bool], bool], Any]


class QuantizedGraph(nn.Module):
    """A converted graph, or one that is observed or trained. It is in eval mode unless it is trained.

    Args:
        graph: takes and returns tensors.
        example: shape and kind of what it takes, for its pickled form.
        shapes: axes that may change, as `torch.export.export` takes them.
    """

    def __init__(self, graph: GraphModule, example: tuple[torch.Tensor, ...], shapes: Any) -> None:
        super().__init__()
        self.graph = graph
        self.__dict__["_example"], self.__dict__["_shapes"] = example, shapes
        self.train(False)

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Runs it."""
        return self.graph(*tensors)

    def train(self, mode: bool = True) -> QuantizedGraph:
        """Sets the flags of operators that have two modes."""
        for module in self.modules():  # torchao takes the method away from its graphs
            module.training = mode
        set_mode(self.graph, mode)
        return self

    def __getstate__(self) -> dict[str, Any]:
        buffer = io.BytesIO()
        with quiet():
            program = torch.export.export(
                self.graph, self.__dict__["_example"], dynamic_shapes=self.__dict__["_shapes"]
            )
            torch.export.save(program, buffer)
        kept = ("spec", "quantization", "float_layers", "_example", "_shapes", "training")
        return {"program": buffer.getvalue(), **{key: self.__dict__[key] for key in kept if key in self.__dict__}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        _flow()  # brings the operators
        with quiet():
            graph = torch.export.load(io.BytesIO(state.pop("program"))).module(check_guards=False)
        self.__dict__.update(state)
        self.graph = graph


@dataclass
class Captured:
    """A model as a graph.

    Attributes:
        graph: in eval mode, sharing nothing with the model.
        names: of the model's modules, by those in the graph.
        example, shapes: see `QuantizedGraph`.
    """

    graph: GraphModule
    names: dict[str, str]
    example: tuple[torch.Tensor, ...]
    shapes: Any

    def layer(self, node: Node) -> str:
        """Name in the model of the module that a node comes from; empty where none is known."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        return self.names.get(str(stack[-1][0]), str(stack[-1][0])) if stack else ""


def capture(module: nn.Module, example: tuple[torch.Tensor, ...], shapes: Any, names: dict[str, str]) -> Captured:
    """Captures a module in eval mode.

    Raises:
        RegistryError: `torch.export` cannot trace it.
    """
    own = copy.deepcopy(module).eval()
    try:
        with quiet(), torch.no_grad():
            graph = torch.export.export(own, example, dynamic_shapes=shapes).module(check_guards=False)
    except Exception as error:  # exporters fail with errors of any type
        told = " ".join(str(error).split())[:300]
        raise RegistryError(f"the model cannot be captured as a graph: {type(error).__name__}: {told}") from error
    read_sizes_later(graph)
    return Captured(graph, names, example, shapes)


class GraphScheme:
    """A scheme of the PT2E flow.

    Args:
        quantizer: makes torchao's quantizer.
    """

    def __init__(self, quantizer: MakeQuantizer) -> None:
        self._quantizer = quantizer

    def __call__(self, spec: Any, model: nn.Module, batches: Any) -> nn.Module:
        """Quantizes after training; see `Registrar.quantization`.

        Returns:
            a module in eval mode with `spec`, `quantization`, and `float_layers`, the names of layers that stayed float.

        Raises:
            RegistryError: nothing to calibrate with, nothing to quantize, or the model cannot be traced.
        """
        inputs = inputs_of(spec, batches)
        model.eval()
        choice = choose(spec, model, inputs)
        if can_split(model):
            return _finished(self._in_parts(spec, model, choice, inputs), spec, model, choice)
        if not isinstance(inputs[0], torch.Tensor):
            raise RegistryError(
                f"`{spec.type}` cannot trace a {type(model).__name__}, which takes a list of images; give it a method `split()`"
            )
        captured = _whole(model, inputs)
        prepared = self._observed(spec, captured, choice)
        with torch.no_grad():
            for batch in inputs:
                prepared(batch.clone())
        made = QuantizedGraph(_converted(prepared), captured.example, captured.shapes)
        return _finished(made, spec, model, choice)

    def prepare(self, spec: SchemeSpec, model: nn.Module, batches: Any) -> nn.Module:
        """The model as one that is trained with simulated rounding; `convert` makes it an integer one.

        Raises:
            RegistryError: as calling the scheme; a model in parts, which is not trained as a graph.
        """
        inputs = inputs_of(spec, batches)
        if can_split(model) or not isinstance(inputs[0], torch.Tensor):
            raise RegistryError(
                f"{type(model).__name__} takes lists of images, and such models are not trained with simulated rounding; "
                "quantize it after training"
            )
        model.eval()
        choice = choose(spec, model, inputs)
        captured = _whole(model, inputs)
        norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
        with quiet():
            graph = _flow().prepare_qat_pt2e(
                captured.graph, self._quantizer(spec, _allowed(spec, captured, choice), True)
            )
        restore_norms(graph, captured.layer, norms)
        made = QuantizedGraph(graph, captured.example, captured.shapes)
        self._find_ranges(made, inputs)
        made.__dict__["choice"] = choice
        return _finished(made, spec, model, choice)

    @staticmethod
    def _find_ranges(prepared: QuantizedGraph, inputs: Sequence[torch.Tensor]) -> None:
        """Training starts from ranges that fit, and not from those of its first batch."""
        own = _torchao("torchao.quantization.pt2e")
        prepared.apply(own.disable_fake_quant)
        with torch.no_grad():
            for batch in inputs:
                prepared(batch.clone())
        prepared.apply(own.enable_fake_quant)

    def freeze_observers(self, prepared: nn.Module) -> None:
        """Ranges stay as they are from here on."""
        prepared.apply(_torchao("torchao.quantization.pt2e").disable_observer)

    def freeze_batch_norms(self, prepared: nn.Module) -> None:
        """Mean and variance of batch norms stay as they are from here on."""
        prepared.graph.__dict__["frozen_norms"] = True
        set_mode(prepared.graph, prepared.training)  # type: ignore[arg-type]  # a graph

    def convert(self, spec: SchemeSpec, prepared: nn.Module) -> nn.Module:
        """The integer model of one that was prepared, which is left as it is."""
        own: Any = copy.deepcopy(prepared.graph)
        set_mode(own, False)
        settle_norms(own)
        made = QuantizedGraph(_converted(own), prepared.__dict__["_example"], prepared.__dict__["_shapes"])
        return _finished(made, spec, prepared, prepared.__dict__["choice"])

    def _observed(self, spec: SchemeSpec, captured: Captured, choice: Choice) -> GraphModule:
        with quiet():
            quantizer = self._quantizer(spec, _allowed(spec, captured, choice), False)
            observed: GraphModule = _flow().prepare_pt2e(captured.graph, quantizer)
        return observed

    def _in_parts(self, spec: SchemeSpec, model: nn.Module, choice: Choice, inputs: Sequence[Any]) -> SplitModule:
        """A detector: each part that has layers to quantize is captured, and observed while the model runs."""
        own = copy.deepcopy(model)
        split, names = split_of(own), {id(module): name for name, module in own.named_modules()}
        chosen = set(choice.quantized)
        examples = split.examples(inputs[0])
        captured, observed = {}, {}
        for part, module in split.parts.items():
            own_names = {inner: names.get(id(each), inner) for inner, each in module.named_modules()}
            if not chosen & set(own_names.values()):
                continue
            captured[part] = capture(module, examples[part], dynamic_shapes(split, part), own_names)
            observed[part] = self._observed(spec, captured[part], choice)

        def call(name: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = observed[name](*tensors) if name in observed else split.call(name, *tensors)
            return (found,) if isinstance(found, torch.Tensor) else tuple(found)

        with torch.no_grad():
            for batch in inputs:
                split.run(call, [image.clone() for image in batch])
        made = {
            part: QuantizedGraph(_converted(graph), captured[part].example, captured[part].shapes)
            for part, graph in observed.items()
        }
        return SplitModule(own, made, strip=True)


def _whole(model: nn.Module, inputs: Sequence[torch.Tensor]) -> Captured:
    example = inputs[0][:1]
    batch = torch.cat([example, example])
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)}
    sizes = {tuple(each.shape[2:]) for each in inputs}
    own = getattr(model, "spec", None)  # whose pre-processing may leave the size to the picture
    if len(sizes) > 1 or (isinstance(own, ModelSpec) and "height" in TorchExportSpec().axes(own)):
        free |= {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    return capture(model, (batch,), (free,), {name: name for name, _ in model.named_modules()})


def _allowed(spec: SchemeSpec, captured: Captured, choice: Choice) -> Callable[[Node], bool]:
    left = set(choice.left)

    def allowed(node: Node) -> bool:
        if captured.layer(node) in left:
            return False
        return spec.operations == "all" or not any(part in str(node.target) for part in _OTHERS)

    return allowed


def _converted(prepared: GraphModule) -> GraphModule:
    with quiet():
        found: GraphModule = _flow().convert_pt2e(prepared)
    make_room(found)
    return found


def _torchao(name: str) -> Any:
    with quiet():
        return require(name, "quantize", "quantizing with torchao")


def _flow() -> Any:
    return _torchao("torchao.quantization.pt2e.quantize_pt2e")


def _finished(made: nn.Module, spec: SchemeSpec, model: nn.Module, choice: Choice) -> nn.Module:
    made.__dict__["spec"] = getattr(model, "spec", None)
    made.__dict__["quantization"] = spec
    made.__dict__["float_layers"] = choice.left
    return made
