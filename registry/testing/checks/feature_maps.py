"""Feature maps that a backbone declares, held to those that it yields. Measured without memory, as a deep validation does."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from registry.assemble.construct import construct_backbone
from registry.specs import BackboneSpec
from registry.testing.check import check
from registry.testing.checks.specs import samples_of
from registry.testing.subjects import PartSubject

if TYPE_CHECKING:
    from torch import nn

    from registry.host import PluginHost

#: Heights and widths in pixels: a multiple of every usual stride, an oblong, and two that are odd.
_SIZES = ((64, 64), (96, 160), (97, 131), (65, 127))
#: Backbones that are measured; document_measures_as_declared looks at that of every document.
_MOST = 3
_CHANNELS = (1, 3, 4)
#: Settings that scale a whole backbone.
_WIDTH = re.compile(r"(^|_)(width|channels?)_(mult\w*|factor|scale)$")
_WIDTHS = (0.5, 0.75, 1.25)


@check("backbone", torch=True)
def feature_maps_are_as_declared(part: PartSubject) -> Iterator[str]:
    """Names, channels and sizes of the maps are those of `feature_maps()`, at even and odd sizes; sides are rounded up."""
    for spec in samples_of(part)[:_MOST]:
        assert isinstance(spec, BackboneSpec)
        maps = spec.feature_maps()
        if not maps:
            yield "feature_maps() is empty, so that no head can stand on it; declare one map at least"
        names = [feature.name for feature in (*maps, *spec.inner_maps())]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"two maps are called `{twice[0]}`; give each a name of its own in feature_maps()"
        if any(after.stride < before.stride for before, after in itertools.pairwise(maps)):
            yield "feature_maps() must list the finest map first, and strides become smaller in it"
        yield from differences(part.registry.host, spec, _SIZES)


@check("backbone", torch=True)
def feature_maps_follow_the_settings(part: PartSubject) -> Iterator[str]:
    """The maps are as declared for 1, 3 and 4 input channels, other widths and given variations, where these are allowed."""
    sample = samples_of(part)[0]
    assert isinstance(sample, BackboneSpec)
    changes: list[dict[str, Any]] = [{"in_channels": count} for count in _CHANNELS]
    for name in type(sample).model_fields:
        if _WIDTH.search(name) and isinstance(getattr(sample, name), float):
            changes += [{name: width} for width in _WIDTHS]
    varied = [(change, changed(sample, change)) for change in changes]
    for model in part.kit.models_using(part.record)[:1]:
        for variation, whole in part.kit.bench(model).varied():
            varied.append((dict(variation), whole.backbone))
    for change, spec in varied:
        if spec is not None and (spec != sample or change == {"in_channels": sample.in_channels}):
            told = ", ".join(f"{key}: {value}" for key, value in change.items())
            yield from (f"with {told}: {fault}" for fault in differences(part.registry.host, spec, _SIZES[:1]))


def changed(spec: BackboneSpec, settings: dict[str, Any]) -> BackboneSpec | None:
    """A backbone with other settings, or None where it refuses them."""
    try:
        made = type(spec).model_validate({**spec.model_dump(mode="json"), **settings})
    except ValidationError:
        return None
    return None if any(finding.severity == "error" for finding in made.check()) else made


def differences(host: PluginHost, spec: BackboneSpec, sizes: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Maps that are not as declared, each once."""
    import torch

    try:
        with torch.device("meta"):
            backbone = construct_backbone(host, spec.settled(pretrained=False)).eval()
    except Exception as error:  # the plugin's code
        yield f"the backbone cannot be built without memory: {type(error).__name__}: {error}"
        return
    told: set[str] = set()
    for size, training in [*((size, False) for size in sizes), (sizes[0], True)]:
        mode = " in training mode" if training else ""
        try:
            shapes = measured(backbone.train(training), spec, size)
        except Exception as error:  # the plugin's code
            yield f"a forward on {size[0]}x{size[1]} pixels{mode} failed: {type(error).__name__}: {error}"
            return
        for feature in (*spec.feature_maps(), *spec.inner_maps()):
            declared = (feature.channels, *(math.ceil(side / feature.stride) for side in size))
            found = shapes.get(feature.name)
            if found != declared and feature.name not in told:
                told.add(feature.name)
                shown = "nothing" if found is None else "x".join(map(str, found))
                yield (
                    f"map `{feature.name}` is declared as {'x'.join(map(str, declared))} for {size[0]}x{size[1]} pixels and is "
                    f"{shown}{mode}; mend its channels or stride in feature_maps(), or the module `{feature.module}`"
                )


def measured(backbone: nn.Module, spec: BackboneSpec, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Channels, rows and columns of each map for an image on the meta device."""
    import torch

    shapes: dict[str, tuple[int, ...]] = {}
    handles = []
    for feature in (*spec.feature_maps(), *spec.inner_maps()):

        def note(module: nn.Module, args: Any, output: Any, name: str = feature.name) -> None:
            shapes[name] = tuple(output.shape[1:])

        handles.append(backbone.get_submodule(feature.module).register_forward_hook(note))
    try:
        with torch.no_grad():
            backbone(torch.empty(2, spec.in_channels, *size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return shapes
