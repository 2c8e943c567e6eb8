"""A plugin-based registry of vision models: typed specs that validate without torch and build into `nn.Module`s.

    import registry

    registry.list_models("*small*")
    model = registry.build("my_model.yaml", num_classes=10)

Importing this package never imports torch; building does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry._uncollected import uncollected

with uncollected():
    from registry.catalog import Explanation, Reference
    from registry.current import (
        backbone,
        dataset,
        default_registry,
        export,
        head,
        local_parts,
        quantization,
        recipe,
        task,
    )
    from registry.diagnostics import Diagnostic, SpecError
    from registry.errors import (
        ConflictError,
        ImageError,
        MissingExtraError,
        PluginError,
        RegistryError,
        RegistryWarning,
        UnknownNameError,
        WeightsError,
    )
    from registry.host import hookimpl, hookspec
    from registry.registry import Registry, Settings
    from registry.specs import ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from registry.assemble import InputRule
    from registry.predictor import Predictor
    from registry.weights import WeightsRequest

    __version__: str


def __getattr__(name: str) -> Any:
    """`__version__` and `Predictor`, looked up when someone asks: metadata and images take longer than all the rest."""
    if name == "Predictor":
        from registry.predictor import Predictor

        return Predictor
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vision-registry")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


def build(
    model: Reference,
    *,
    weights: WeightsRequest | None = None,
    sha256: str | None = None,
    backbone_weights: WeightsRequest | None = None,
    overrides: Settings | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    adapt_input: InputRule | None = None,
    device: str | torch.device | None = None,
) -> nn.Module:
    """Builds a model; see `Registry.build`."""
    return default_registry().build(
        model,
        weights=weights,
        sha256=sha256,
        backbone_weights=backbone_weights,
        overrides=overrides,
        num_classes=num_classes,
        in_channels=in_channels,
        adapt_input=adapt_input,
        device=device,
    )


def load_spec(
    model: Reference,
    *,
    overrides: Settings | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    weights: WeightsRequest | None = None,
) -> ModelSpec:
    """The resolved, checked spec of a model, without torch; see `Registry.load_spec`."""
    return default_registry().load_spec(
        model, overrides=overrides, num_classes=num_classes, in_channels=in_channels, weights=weights
    )


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """Names of the models in the catalog; see `Registry.list_models`."""
    return default_registry().list_models(pattern, task=task)


def validate(*paths: str | os.PathLike[str]) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with some spec files, or with the catalog; see `Registry.validate`."""
    return default_registry().validate(*paths)


def explain(model: Reference, *, overrides: Settings | None = None, kind: str = "model") -> Explanation:
    """Every setting of a document with the line that set it; see `Registry.explain`."""
    return default_registry().explain(model, overrides=overrides, kind=kind)


def save(model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Writes a built model as a checkpoint; see `Registry.save`."""
    return default_registry().save(model, path)


__all__ = [
    "ConflictError",
    "Diagnostic",
    "Explanation",
    "ImageError",
    "MissingExtraError",
    "ModelSpec",
    "PluginError",
    "Predictor",
    "Reference",
    "Registry",
    "RegistryError",
    "RegistryWarning",
    "SpecError",
    "UnknownNameError",
    "WeightsError",
    "__version__",
    "backbone",
    "build",
    "dataset",
    "default_registry",
    "explain",
    "export",
    "head",
    "hookimpl",
    "hookspec",
    "list_models",
    "load_spec",
    "local_parts",
    "quantization",
    "recipe",
    "save",
    "task",
    "validate",
]
