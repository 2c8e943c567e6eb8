"""Weights files of timm under the names of this plugin's models: `python -m registry_timm.convert MODEL IN OUT`.

timm's classifier keeps its blocks in containers, `blocks.3.0.conv_pw.weight`; here they lie side by side, which makes that
`blocks_3.0.conv_pw.weight`. All other keys are the same. Files of EfficientNet-Lite in the layout of efficientnet-pytorch,
`_blocks.5._expand_conv.weight`, are read too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import nn

from registry.errors import RegistryError, WeightsError
from registry.files import write_atomically
from registry.weights import read_state_dict
from registry_timm.stages import create, require, stages_of

State = dict[str, torch.Tensor]

_BLOCK = re.compile(r"_blocks\.(\d+)\.(.+)")
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def converted(model: str, state: Mapping[str, torch.Tensor], label: str = "the state dict") -> State:
    """A classifier's state dict under this plugin's names; the tensors are the same objects.

    Args:
        model: timm's name.
        label: what the tensors come from, for messages.

    Raises:
        RegistryError: timm has no such model, or it is no chain of stages.
        WeightsError: tensors of the model's stages are missing.
    """
    require(model)
    with torch.device("meta"):
        whole, features = timm.create_model(model, pretrained=False), create(model)
    if "_conv_stem.weight" in state:
        state = from_efficientnet_pytorch(state, whole)
    stages = stages_of(model, features)
    paths = {path: name for name, path in _paths(whole).items() if name in stages}
    paths |= {name: name for name, _ in whole.named_children() if name in stages}
    wanted = [key for key in whole.state_dict() if _renamed(key, paths) is not None]
    missing = [key for key in wanted if key not in state and not key.endswith(".num_batches_tracked")]
    if missing:
        raise WeightsError(f"{label} lacks {len(missing)} tensors of timm's `{model}`, the first is `{missing[0]}`")
    return {_renamed(key, paths) or key: tensor for key, tensor in state.items()}


def _paths(whole: nn.Module) -> dict[str, str]:
    """`blocks_3` to `blocks.3`, for each module of each container."""
    return {
        f"{name}_{child}": f"{name}.{child}"
        for name, container in whole.named_children()
        if isinstance(container, nn.Sequential)
        for child, _ in container.named_children()
    }


def _renamed(key: str, paths: Mapping[str, str]) -> str | None:
    """A key under the name of the stage that holds it; None if none does."""
    parts = key.split(".")
    for count in (2, 1):
        stage = paths.get(".".join(parts[:count]))
        if stage is not None:
            return ".".join([stage, *parts[count:]])
    return None


def from_efficientnet_pytorch(state: Mapping[str, torch.Tensor], whole: nn.Module) -> State:
    """EfficientNet-Lite in the layout of the package efficientnet-pytorch, under timm's names.

    Args:
        whole: timm's classifier, which knows how many blocks its stages have.

    Raises:
        WeightsError: a key that such a model does not have.
    """
    stages = whole.get_submodule("blocks")
    places = [(stage, block) for stage, blocks in stages.named_children() for block, _ in blocks.named_children()]
    renamed: State = {}
    for key, tensor in state.items():
        block = _BLOCK.fullmatch(key)
        number, rest = (int(block[1]), block[2]) if block else (None, key)
        layer, _, last = rest.rpartition(".")
        if number is None:
            names, prefix = _OUTER, ""
        else:
            names = _INVERTED if f"_blocks.{number}._expand_conv.weight" in state else _SEPARABLE
            prefix = "blocks.{}.{}.".format(*places[number]) if number < len(places) else ""
        if layer not in names or (number is not None and not prefix):
            raise WeightsError(f"`{key}` is no tensor of an EfficientNet-Lite in the layout of efficientnet-pytorch")
        renamed[f"{prefix}{names[layer]}.{last}"] = tensor
    return renamed


def main(arguments: list[str] | None = None) -> int:
    """Writes the converted file, whole or not at all; 1 if that fails, 2 if called wrongly."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 3 or given[0].startswith("-") or not given[2].endswith(".safetensors"):
        print("usage: python -m registry_timm.convert MODEL IN OUT.safetensors", file=sys.stderr)
        return 2
    model, source, target = given[0], Path(given[1]), Path(given[2])
    try:
        state = converted(model, read_state_dict(source), source.name)
        write_atomically(
            target, save({key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in state.items()})
        )
    except (RegistryError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {len(state)} tensors of `{model}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
