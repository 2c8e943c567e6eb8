"""Modules that run a file's programs, whatever engine it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.artefacts import Artefact, model_spec, reading_registry
from registry.errors import RegistryError
from registry.modules.split import SplitModule, can_split, split_of
from registry.specs import ModelSpec
from registry_export.forms import restored

#: Runs one of a file's programs: its name and tensors, to tensors.
Run = Callable[[str, tuple[torch.Tensor, ...]], Sequence[torch.Tensor]]


class FileModule(nn.Module):
    """Runs the program `forward` of a file; in eval mode, without parameters.

    Args:
        run: the engine.
        artefact: what the file says of itself.
        spec: the model's resolved spec.
    """

    def __init__(self, run: Run, artefact: Artefact, spec: ModelSpec) -> None:
        super().__init__()
        self.__dict__.update(_run=run, artefact=artefact, spec=spec)
        super().train(False)

    def train(self, mode: bool = True) -> FileModule:
        """Stays in eval mode; raises RegistryError for training."""
        if mode:
            raise RegistryError("an exported model cannot be trained; train the model and export it again")
        super().train(False)
        return self

    def forward(self, inputs: Any) -> Any:
        """What the model returned in eval mode."""
        run, artefact = self.__dict__["_run"], self.__dict__["artefact"]
        if artefact.takes == "batch":
            return restored(artefact.outputs, in_batches(lambda each: run("forward", (each,)), artefact, inputs))
        return [restored(artefact.outputs, run("forward", (image,))) for image in inputs]


def in_batches(
    run: Callable[[torch.Tensor], Sequence[torch.Tensor]], artefact: Artefact, inputs: torch.Tensor
) -> Sequence[torch.Tensor]:
    """The outputs of a batch of any size, from a file that takes no more than some images at once."""
    most = (
        int(artefact.settings.get("largest_batch", len(inputs))) if "batch" in artefact.dynamic else artefact.shape[0]
    )
    if len(inputs) <= most:
        return run(inputs)
    found = [run(each) for each in torch.split(inputs, most)]
    return [torch.cat(each) for each in zip(*found, strict=True)]


class _Part(nn.Module):
    def __init__(self, run: Run, name: str) -> None:
        super().__init__()
        self.__dict__.update(_run=run, _name=name)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.__dict__["_run"](self.__dict__["_name"], tensors))


def module_of(run: Run, artefact: Artefact, path: str | os.PathLike[str]) -> nn.Module:
    """The module that runs a file: its one program, or its parts with the model's own code between them."""
    spec = model_spec(artefact, Path(path).name)
    if not artefact.parts:
        return FileModule(run, artefact, spec)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # of layers that are frozen without weights, which are given up here
        host = reading_registry().build(spec, device="cpu").eval()
    if not can_split(host) or set(artefact.parts) != set(split_of(host).parts):
        raise RegistryError(
            f"{Path(path).name} holds the parts {', '.join(artefact.parts)}, and the head `{spec.head.type}` installed here "
            "has others; install the release that the file was made with, or export the model again"
        )
    module = SplitModule(host, {name: _Part(run, name) for name in artefact.parts}, strip=True)
    module.spec, module.artefact = spec, artefact  # type: ignore[assignment]  # plain attributes, not modules
    return module
