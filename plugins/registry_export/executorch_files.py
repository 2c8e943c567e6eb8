"""The target `executorch`: a `.pte` program, in which XNNPACK runs what it can. Metadata is a method that returns a text."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import KEY, Artefact
from registry.errors import RegistryError
from registry_export.common import feed, mute, quiet, read, told, write
from registry_export.engines import require
from registry_export.programs import parts_of, traced
from registry_export.rounded import read_apart
from registry_export.running import module_of
from registry_export.sizes import read_sizes_later
from registry_export.specs import ExecuTorchSpec

#: Nodes of a graph that compute nothing.
_FREE = (
    "getitem",
    "sym_size",
    "sym_constrain",
    "_assert",
    "add",
    "mul",
    "floordiv",
    "sub",
    "ge",
    "le",
    "eq",
    "lt",
    "gt",
)


def export(spec: ExecuTorchSpec, model: nn.Module, inputs: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes the file.

    Returns how much was delegated: `delegated` and `operators`, counts, and `not_delegated`, a count for each operator that
    ExecuTorch's own kernels run.

    Raises:
        RegistryError: the model cannot be traced or lowered, less is delegated than asked for, or the file cannot be written.
        MissingExtraError: executorch is not installed.
    """
    require("executorch", "executorch", "exporting to executorch")
    with quiet():
        exir: Any = require("executorch.exir", "executorch", "exporting to executorch")
        backend: Any = require(
            "executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch", "exporting to executorch"
        )
    fed = feed(spec, model, inputs)
    programs = traced(spec, model, fed)
    text = fed.describe(model, spec, parts_of(programs)).to_text()
    with told(spec, model):
        edge = exir.to_edge_transform_and_lower(
            programs,
            transform_passes=[read_sizes_later, read_apart],
            partitioner=[backend.XnnpackPartitioner()] if spec.delegate else [],
            constant_methods={KEY: text},
            compile_config=exir.EdgeCompileConfig(_check_ir_validity=False),
        )
        report = _delegation([edge.exported_program(name).graph_module for name in programs])
        data = bytes(edge.to_executorch().buffer)
    share = report["delegated"] / max(report["operators"], 1)
    if share < spec.least_delegated:
        listed = ", ".join(f"{name} ({count})" for name, count in report["not_delegated"].items())
        raise RegistryError(
            f"XNNPACK takes {share:.0%} of the operators, and export.least_delegated asks for {spec.least_delegated:.0%}; "
            f"not delegated: {listed}"
        )
    write(path, data)
    return report


def load(path: str | os.PathLike[str]) -> nn.Module:
    """The module that runs a file.

    Raises:
        RegistryError: it is damaged, has no metadata, or a newer release wrote it.
        MissingExtraError: executorch is not installed.
    """
    with quiet():
        runtime: Any = require("executorch.runtime", "executorch", "running a program of executorch")
    data, name = read(path), Path(path).name
    if data[4:8] != b"ET12" and data[4:6] != b"ET":
        raise RegistryError(f"{name} is no program of ExecuTorch; it may be damaged: export the model again")
    try:
        program = runtime.Runtime.get().load_program(data)
        names = program.method_names
    except Exception as error:  # of the engine's own types
        raise RegistryError(
            f"{name} cannot be read by ExecuTorch; it may be damaged: export the model again"
        ) from error
    if KEY not in names:
        raise RegistryError(f"{name} has no metadata of a registry; export the model with: registry export MODEL")
    artefact = Artefact.from_text(str(program.load_method(KEY).execute([])[0]), name)
    with mute():  # XNNPACK tells there what it does not know of the processor
        methods = {part: program.load_method(part) for part in artefact.parts or ("forward",)}
    lock = threading.Lock()

    def run(part: str, tensors: tuple[torch.Tensor, ...]) -> Sequence[torch.Tensor]:
        given = [tensor.detach().to("cpu").contiguous() for tensor in tensors]
        with lock:  # a method has one set of buffers
            try:
                return [each.clone() for each in methods[part].execute(given)]
            except RuntimeError as error:
                shapes = ", ".join(str(tuple(tensor.shape)) for tensor in given)
                told_first = " ".join(str(error).split())[:200]
                raise RegistryError(f"ExecuTorch fails on inputs of {shapes}: {told_first}") from error

    module = module_of(run, artefact.sized(path), path)
    module.__dict__["_kept"] = (data, program)  # what the methods refer to
    return module


def _delegation(graphs: Sequence[torch.fx.GraphModule]) -> dict[str, Any]:
    inside, outside = 0, Counter[str]()
    for graph in graphs:
        for node in graph.graph.nodes:
            if node.op != "call_function":
                continue
            name = _operator(node.target)
            if "call_delegate" in name:
                lowered: Any = getattr(graph, node.args[0].target)
                inner = lowered.original_module.graph.nodes
                inside += sum(each.op == "call_function" and _counts(_operator(each.target)) for each in inner)
            elif _counts(name):
                outside[name] += 1
    return {
        "delegated": inside,
        "operators": inside + sum(outside.values()),
        "not_delegated": dict(outside.most_common()),
    }


def _operator(target: Any) -> str:
    """`aten.view_copy.default` for an operator of a graph, however it is wrapped."""
    inner = getattr(target, "_op", target)
    return str(inner) if not callable(getattr(inner, "__wrapped__", None)) else str(target)


def _counts(name: str) -> bool:
    short = name.removeprefix("<built-in function ").rstrip(">").removeprefix("aten.")
    return not short.startswith(("getitem", "sym_", "_assert")) and "built-in" not in name
