"""What the table holds about models, found out by running them: `python -m registry_timm.tabulate NAME...`."""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
import yaml
from torch import nn

from registry.errors import RegistryError
from registry_timm.stages import create, stages_of, told_maps

#: Heights and widths of the images: one of multiples of every stride, and an odd one, for which sides must be rounded up.
SIZES = ((64, 96), (97, 131))
_OUTPUT_STRIDES = (8, 16, 32)


def tabulate(model: str) -> dict[str, Any]:
    """The table's entry for a model: `output_strides`, `drop_path` and `maps`.

    Raises:
        RegistryError: timm does not have it, it is no chain of modules, or its maps break the core's rule that a map has
            H / stride rows, rounded up.
    """
    maps = measure(model)
    nominal = maps[-1]["stride"]
    smaller = [stride for stride in _OUTPUT_STRIDES if stride < nominal and _takes(model, output_stride=stride)]
    return {
        "output_strides": [*smaller, nominal] if nominal in _OUTPUT_STRIDES else smaller,
        "drop_path": _takes(model, drop_path_rate=0.1),
        "maps": maps,
    }


def measure(model: str, **settings: Any) -> list[dict[str, Any]]:
    """Name, channels, stride and module of each map, held to the tensors that timm itself yields, on noise.

    Args:
        settings: as of `create`.

    Raises:
        RegistryError: as of `tabulate`.
    """
    features = create(model, **settings).eval()
    stages = stages_of(model, features)
    infos = told_maps(features)
    modules = [_modules(model, features, stages, size, infos) for size in SIZES]
    if modules[0] != modules[1]:
        raise RegistryError(f"the maps of `{model}` come from other modules for other image sizes")
    names = _names([info["reduction"] for info in told_maps(create(model))])
    return [
        {"name": name, "channels": info["num_chs"], "stride": info["reduction"], "module": module}
        for name, info, module in zip(names, infos, modules[0], strict=True)
    ]


def _modules(
    model: str, features: nn.Module, stages: dict[str, nn.Module], size: tuple[int, int], infos: list[dict[str, Any]]
) -> list[str]:
    """The stage that yields each map, found by comparing tensors."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    yielded: dict[str, torch.Tensor] = {}
    try:
        with torch.no_grad():
            wanted, x = features(image), image
            for name, module in stages.items():
                x = module(x)
                yielded[name] = x.clone()  # what comes next may work in place
    except Exception as error:
        shown = f"{size[0]}x{size[1]}"
        raise RegistryError(f"`{model}` does not run on {shown} pixels: {type(error).__name__}: {error}") from error
    return [_module(model, size, info, tensor, yielded) for info, tensor in zip(infos, wanted, strict=True)]


def _module(
    model: str, size: tuple[int, int], info: dict[str, Any], tensor: torch.Tensor, yielded: dict[str, torch.Tensor]
) -> str:
    expected = (info["num_chs"], *(math.ceil(side / info["reduction"]) for side in size))
    if tuple(tensor.shape[1:]) != expected:
        found, rule = "x".join(map(str, tensor.shape[1:])), "x".join(map(str, expected))
        raise RegistryError(
            f"the map `{info['module']}` of `{model}` is {found} for {size[0]}x{size[1]} pixels, and not {rule}: "
            f"maps must have H / stride rows and W / stride columns, rounded up"
        )
    equal = [name for name, other in yielded.items() if other.shape == tensor.shape and torch.equal(other, tensor)]
    if not equal:
        raise RegistryError(f"no stage of `{model}` yields timm's map `{info['module']}`")
    own = info["module"].replace(".", "_")
    return own if own in equal else equal[0]


def _names(strides: list[int]) -> list[str]:
    """`cN` for stride 2 to the N, as pyramids count; a letter after it where several maps have one stride."""
    counted = [f"c{round(math.log2(stride))}" for stride in strides]
    return [
        name + ("" if counted.count(name) == 1 else chr(ord("a") + counted[:index].count(name)))
        for index, name in enumerate(counted)
    ]


def _takes(model: str, **settings: Any) -> bool:
    """Whether timm builds the model with a setting, and its maps are as the spec's arithmetic says."""
    try:
        found = measure(model, **settings)
    except RegistryError:
        return False
    limit = settings.get("output_stride", math.inf)
    return found == [{**row, "stride": min(row["stride"], limit)} for row in measure(model)]


def main(arguments: list[str] | None = None) -> int:
    """Prints the entries of the named models as YAML; 1 if one has none, 2 without names."""
    names = sys.argv[1:] if arguments is None else arguments
    if not names or names[0].startswith("-"):
        print("usage: python -m registry_timm.tabulate NAME...", file=sys.stderr)
        return 2
    failed = False
    for name in names:
        try:
            print(as_yaml(name, tabulate(name)), end="")
        except RegistryError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def as_yaml(name: str, entry: dict[str, Any]) -> str:
    """An entry with one map a line, which can be copied into a document as it is."""
    lines = [f"{name}:", f"  output_strides: {_flow(entry['output_strides'])}"]
    lines += [f"  drop_path: {_flow(entry['drop_path'])}", "  maps:", *(f"    - {_flow(row)}" for row in entry["maps"])]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).removesuffix("...\n").strip()


if __name__ == "__main__":
    sys.exit(main())
