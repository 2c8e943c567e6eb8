"""Deep validation: a model is built without memory, run, and held to what its document declares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.assemble.construct import construct_backbone, construct_meta, require_torch
from registry.host import PluginHost
from registry.specs import BackboneSpec, Finding, ModelSpec, Spec

if TYPE_CHECKING:
    import torch
    from torch import nn

#: An odd size beside the model's own: arithmetic that holds for multiples of a stride only is found out.
_ODD = (97, 131)
#: Published multiply-adds are rounded, and some count more than convolutions and matrix products.
_TOLERANCE = 0.02
_LARGEST = 3


@dataclass(frozen=True)
class _Cost:
    """What a model weighs and costs; `by_module` holds multiply-adds, None where its forward cannot be counted."""

    model: nn.Module
    macs: int | None
    by_module: dict[str, int]


def deep_findings(host: PluginHost, spec: Spec) -> Iterator[Finding]:
    """What is found by building a model or backbone on the meta device; nothing for documents of other kinds.

    Raises:
        MissingExtraError: torch is not installed.
    """
    if isinstance(spec, BackboneSpec):
        require_torch("a deep validation")
        yield from _backbone_findings(host, spec, (224, 224))
    elif isinstance(spec, ModelSpec):
        require_torch("a deep validation")
        size = spec.task.image_size() or spec.head.image_size() or (224, 224)
        wrong = [finding.within("backbone") for finding in _backbone_findings(host, spec.backbone, size)]
        yield from wrong
        if not wrong:
            yield from _model_findings(host, spec, size)


def _backbone_findings(host: PluginHost, spec: BackboneSpec, size: tuple[int, int]) -> Iterator[Finding]:
    """Feature maps that a forward does not yield as declared; their sides are the image's over the stride, rounded up."""
    import torch

    declared = (*spec.feature_maps(), *spec.inner_maps())
    try:
        with torch.device("meta"):
            backbone = construct_backbone(host, spec.settled(pretrained=False)).eval()
        measured = [(image, _maps(backbone, spec, image)) for image in (size, _ODD)]
    except Exception as error:
        yield _cannot(("type",), f"the backbone `{spec.type}`", error)
        return
    for image, shapes in measured:
        for feature in declared:
            wanted = (feature.channels, *(math.ceil(side / feature.stride) for side in image))
            found = shapes.get(feature.name)
            if found != wanted:
                shown = "nothing" if found is None else "x".join(map(str, found))
                text = (
                    f"map `{feature.name}` is declared as {'x'.join(map(str, wanted))} for {image[0]}x{image[1]} pixels"
                )
                hint = f"mend feature_maps() of `{spec.type}`, or the module `{feature.module}`"
                yield Finding("REG302", ("type",), f"{text}, and is {shown}", hint)
                return


def _maps(backbone: nn.Module, spec: BackboneSpec, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    import torch

    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for feature in (*spec.feature_maps(), *spec.inner_maps()):

        def note(module: nn.Module, args: Any, output: torch.Tensor, name: str = feature.name) -> None:
            shapes[name] = tuple(output.shape[1:])

        handles.append(backbone.get_submodule(feature.module).register_forward_hook(note))
    with torch.no_grad():
        backbone(torch.empty(1, spec.in_channels, *size, device="meta"))
    for handle in handles:
        handle.remove()
    return shapes


def _model_findings(host: PluginHost, spec: ModelSpec, size: tuple[int, int]) -> Iterator[Finding]:
    pretrained = spec.default_weights is not None
    try:
        cost = _cost(host, spec.settled(pretrained=pretrained), size)
    except Exception as error:
        yield _cannot(("head", "type"), f"the model `{spec.name}`", error)
        return
    parameters = sum(p.numel() for p in cost.model.parameters())
    published = spec.figures
    if published.parameters is not None and published.parameters != parameters:
        text = f"{published.parameters:,} parameters are declared, and the model has {parameters:,}"
        yield Finding("REG303", ("figures", "parameters"), text, f"write {parameters}")
    # what a published figure counts for a head that depends on the image, nobody says
    macs = None if spec.head.depends_on_image else cost.macs
    if macs is not None and published.macs is not None and abs(macs - published.macs) > _TOLERANCE * published.macs:
        text = f"{published.macs:,.0f} multiply-adds are declared, and {macs:,} are counted at {size[0]}x{size[1]}"
        yield Finding("REG303", ("figures", "macs"), text, f"write {macs}")
    yield from _budget_findings(spec, cost, parameters, size)


def _cost(host: PluginHost, spec: ModelSpec, size: tuple[int, int]) -> _Cost:
    """A model and what one forward costs; where the image decides, what is computed whatever it shows."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = construct_meta(host, spec).eval()
    runs: nn.Module = model
    if spec.head.depends_on_image:
        if not hasattr(model, "fixed_forward"):
            return _Cost(model, None, {})
        runs = _fixed(model)
    counter = FlopCounterMode(display=False, depth=999)
    # with gradients: torch names what it counts by hooks on them, and fails on a parameter that is a view
    with torch.enable_grad(), counter:
        runs(torch.empty(1, spec.backbone.in_channels, *size, device="meta"))
    inside = 2 if runs is not model else 1  # names begin with the class of what runs, and the name of what it holds
    by_module = {
        ".".join(name.split(".")[inside:]): sum(counts.values()) // 2
        for name, counts in counter.get_flop_counts().items()
    }
    return _Cost(model, counter.get_total_flops() // 2, by_module)


def _fixed(model: nn.Module) -> nn.Module:
    """A module that runs what a model computes whatever the image shows."""
    from torch import nn

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> Any:
            return self.model.fixed_forward(images)  # type: ignore[operator]  # looked for before this was made

    return Fixed()


def _budget_findings(spec: ModelSpec, cost: _Cost, parameters: int, size: tuple[int, int]) -> Iterator[Finding]:
    budget = spec.budget
    own = {name: sum(p.numel() for p in module.parameters()) for name, module in _leaves(cost.model)}
    if budget.parameters is not None and parameters > budget.parameters:
        text = f"{parameters:,} parameters, and the budget is {budget.parameters:,.0f}"
        yield Finding("REG304", ("budget", "parameters"), text, _largest(own, parameters))
    elements = parameters + sum(buffer.numel() for buffer in cost.model.buffers())
    megabytes = 4 * elements / 1e6
    if budget.size_mb is not None and megabytes > budget.size_mb:
        text = f"{megabytes:.2f} MB in float32, and the budget is {budget.size_mb:g} MB"
        yield Finding("REG304", ("budget", "size_mb"), text, _largest(own, parameters))
    if budget.macs is None:
        return
    if cost.macs is None:
        text = f"what `{spec.head.type}` computes depends on the image, so its multiply-adds cannot be held to a budget"
        yield Finding("REG304", ("budget", "macs"), text, "remove the budget", "warning")
    elif cost.macs > budget.macs:
        text = f"{cost.macs:,} multiply-adds at {size[0]}x{size[1]}, and the budget is {budget.macs:,.0f}"
        counted = {name: cost.by_module.get(name, 0) for name, _ in _leaves(cost.model)}
        yield Finding("REG304", ("budget", "macs"), text, _largest(counted, cost.macs))


def _leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in model.named_modules() if not list(module.children()))


def _largest(by_module: dict[str, int], total: int) -> str:
    """The modules that contribute most, as a sentence."""
    largest = sorted(by_module.items(), key=lambda item: -item[1])[:_LARGEST]
    told = ", ".join(f"`{name}` {amount:,} ({100 * amount / max(1, total):.0f} %)" for name, amount in largest)
    return f"the largest are {told}"


def _cannot(path: tuple[str, ...], what: str, error: Exception) -> Finding:
    first = " ".join(str(error).split())[:300]
    return Finding("REG301", path, f"{what} cannot be built and run: {type(error).__name__}: {first}")
