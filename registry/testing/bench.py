"""A bench: one model at a small size, built when a check asks for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.errors import RegistryError
from registry.specs import BudgetSpec, FiguresSpec, ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from registry.registry import Registry
    from registry.tasks import Task

#: Sides that images are tried with, in pixels; the first that the model takes is used.
_SIDES = (64, 96, 128, 192, 256, 320, 384, 512)


class Bench:
    """A model, its task, and batches to run it with.

    Attributes:
        spec: the model, with images made small where its parts follow the option `size`, and without weights.
        size: height and width of its images, in pixels.
        odd: a size whose sides are odd and differ.
        variations: settings laid over the model that are run too.
    """

    def __init__(self, registry: Registry, spec: ModelSpec, variations: Sequence[Mapping[str, Any]] = ()) -> None:
        self.registry = registry
        self.spec, self.size = _small(registry, _bare(spec))
        self.odd = (self.size[0] + 33, self.size[1] + 7)
        self.variations = variations

    @property
    def name(self) -> str:
        """The model's name, for messages."""
        return self.spec.name

    @functools.cached_property
    def task(self) -> Task[Any, Any]:
        """The object that feeds the model and reads its answers."""
        return self.registry.task(self.spec)

    def build(self, seed: int = 0, spec: ModelSpec | None = None) -> nn.Module:
        """The model in training mode, initialised under a seed."""
        import torch

        torch.manual_seed(seed)
        return self.registry.build(spec or self.spec)

    @functools.cached_property
    def model(self) -> nn.Module:
        """The model in eval mode, shared by checks that leave it as it is."""
        return self.build().eval()

    def example(
        self, count: int, size: tuple[int, int] | None = None, seed: int = 0, spec: ModelSpec | None = None
    ) -> tuple[Any, Any]:
        """Images and targets that the task makes up."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        return self.task.example(spec or self.spec, count, size or self.size, generator)

    def varied(self) -> list[tuple[Mapping[str, Any], ModelSpec]]:
        """Each variation that the model takes, and its spec."""
        found = []
        for variation in self.variations:
            try:
                found.append((variation, self.registry.load_spec(self.spec, overrides=dict(variation))))
            except RegistryError:
                continue  # it is meant for another model; one that no model takes was told before
        return found


def run(model: nn.Module, inputs: Any) -> Any:
    """What a model returns, without gradients."""
    import torch

    with torch.no_grad():
        return model(inputs)


def _bare(spec: ModelSpec) -> ModelSpec:
    """A model that names no weights and publishes nothing, as neither holds for a small one."""
    dropped: dict[str, Any] = {"weights": {}, "default_weights": None, "backbone_weights": None}
    return spec.model_copy(update={**dropped, "figures": FiguresSpec(), "budget": BudgetSpec()})


def _small(registry: Registry, spec: ModelSpec) -> tuple[ModelSpec, tuple[int, int]]:
    """The model at the smallest size that leaves two steps a side on its coarsest map and that it takes."""
    stride = max((feature.stride for feature in spec.backbone.feature_maps()), default=1)
    sides = [side for side in _SIDES if side >= 2 * stride and side % math.gcd(stride, 64) == 0]
    for side in sides:
        try:
            settings = spec.settings_for("size", side)
        except Exception:  # the plugin's code; options_become_settings tells
            settings = {}
        try:
            changed = registry.load_spec(spec, overrides=settings) if settings else spec
        except RegistryError:
            continue
        own = changed.head.image_size()
        if own in (None, (side, side)):
            return changed, (side, side)
    own = spec.head.image_size() or spec.task.image_size()
    return spec, own or (sides[0], sides[0]) if sides else own or (2 * stride, 2 * stride)
