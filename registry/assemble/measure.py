"""Counting a built model: parameters, multiply-adds, and the size of each feature map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.assemble.construct import construct_apart, construct_backbone, construct_meta, require_torch
from registry.errors import RegistryError
from registry.host import PluginHost
from registry.host.blame import place_of
from registry.specs import ModelSpec
from registry.tasks import Task

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class MeasuredMap:
    """A feature map as a forward yields it: name, channels, height and width."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Measurement:
    """What a model of some spec weighs and costs.

    Attributes:
        parameters, trainable, buffers: numbers of elements.
        size_mb: megabytes (10^6 bytes) of parameters and buffers in their own types.
        macs: multiply-adds of one forward on one image, as torch's flop counter counts them, halved.
        image_size: height and width of that image in pixels.
        features: the backbone's maps for that image.
    """

    parameters: int
    trainable: int
    buffers: int
    size_mb: float
    macs: int
    image_size: tuple[int, int]
    features: tuple[MeasuredMap, ...]


def measure(host: PluginHost, spec: ModelSpec, task: Task[Any, Any], size: tuple[int, int]) -> Measurement:
    """Measures a model on the meta device: nothing is allocated and nothing computed, unless its cost depends on the image.

    Args:
        size: height and width in pixels.

    Raises:
        RegistryError: its forward does not run on the meta device, or on an image of that size.
    """
    require_torch("measuring a model")
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    spec = spec.settled(pretrained=False)
    # where the image decides what is computed there must be one, if only of noise
    model, image = (_seeded if spec.head.depends_on_image else _without_memory)(host, spec, size)
    counter = FlopCounterMode(display=False)
    try:
        # with gradients: torch names what it counts by hooks on them, and fails on a parameter that is a view
        with torch.enable_grad(), counter:
            model.eval()(task.collate([image]))
        maps = _measured_maps(host, spec, size)
    except Exception as error:
        told = f"{type(error).__name__}: {error}{place_of(error)}"
        raise RegistryError(f"a forward of `{spec.name}` on {size[0]}x{size[1]} pixels failed: {told}") from error
    macs = counter.get_total_flops() // 2
    return Measurement(**elements(model), macs=macs, image_size=size, features=maps)


def elements(model: nn.Module) -> dict[str, Any]:
    """What a module holds: `parameters`, `trainable`, `buffers` and `size_mb`, as in `Measurement`."""
    parameters, buffers = list(model.parameters()), list(model.buffers())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "buffers": sum(b.numel() for b in buffers),
        "size_mb": sum(t.numel() * t.element_size() for t in (*parameters, *buffers)) / 1e6,
    }


def _without_memory(host: PluginHost, spec: ModelSpec, size: tuple[int, int]) -> tuple[nn.Module, torch.Tensor]:
    """A model and an image on the meta device."""
    import torch

    model = construct_meta(host, spec, trained=spec.backbone.trained(pretrained=False))
    return model, torch.empty(spec.backbone.in_channels, *size, device="meta")


def _seeded(host: PluginHost, spec: ModelSpec, size: tuple[int, int]) -> tuple[nn.Module, torch.Tensor]:
    """A model and an image of the same noise each time; the global random state is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        model = construct_apart(host, spec, trained=spec.backbone.trained(pretrained=False))
        return model, torch.rand(spec.backbone.in_channels, *size)


def _measured_maps(host: PluginHost, spec: ModelSpec, size: tuple[int, int]) -> tuple[MeasuredMap, ...]:
    """The backbone's maps for one image, measured on the backbone alone, whatever a head makes of it."""
    import torch

    maps: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            maps[name] = tuple(output.shape)

        return hook

    with torch.device("meta"):
        backbone = construct_backbone(host, spec.backbone).eval()
    for feature in spec.backbone.feature_maps():
        backbone.get_submodule(feature.module).register_forward_hook(note(feature.name))
    with torch.no_grad():
        backbone(torch.empty(1, spec.backbone.in_channels, *size, device="meta"))
    return tuple(MeasuredMap(name, *shape[1:4]) for name, shape in maps.items())


def check_forward(model: nn.Module, task: Task[Any, Any], size: tuple[int, int]) -> str:
    """Runs one forward in eval mode on noise, and says in a few words what came out.

    Raises:
        RegistryError: the forward fails, or an output is not finite.
    """
    import torch

    spec: ModelSpec = model.spec  # type: ignore[assignment]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(spec.backbone.in_channels, *size, generator=generator).to(device)
    was_training = model.training
    try:
        with torch.inference_mode():
            output = model.eval()(task.collate([image]))
    except Exception as error:
        raise RegistryError(f"the forward failed: {type(error).__name__}: {error}") from error
    finally:
        model.train(was_training)
    tensors = list(_tensors(output, "output"))
    wrong = [name for name, tensor in tensors if tensor.is_floating_point() and not tensor.isfinite().all()]
    if wrong:
        raise RegistryError(f"the forward gives values that are not finite in {', '.join(wrong)}")
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors)


def _tensors(value: Any, name: str) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _tensors(item, f"{name}[{index}]")
