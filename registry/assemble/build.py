"""From a typed spec to a module."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.assemble.construct import (
    construct,
    construct_apart,
    construct_hollow,
    construct_meta,
    on_meta,
    parse_device,
    place,
    require_torch,
)
from registry.assemble.fit import Wishes, fit, fit_backbone
from registry.errors import RegistryError, RegistryWarning, WeightsError
from registry.host import PluginHost
from registry.host.blame import place_of
from registry.specs import ModelSpec
from registry.tasks import Task
from registry.weights import read_state_dict

if TYPE_CHECKING:
    import torch
    from torch import nn


def build_model(
    host: PluginHost,
    spec: ModelSpec,
    *,
    weights: Path | None = None,
    backbone_weights: Path | None = None,
    wishes: Wishes | None = None,
    device: str | torch.device | None = None,
) -> nn.Module:
    """The module that a spec describes, in training mode as torch leaves it, with the spec as its attribute `spec`.

    Without weights, parameters are initialised from the global random state. With weights, that state is left as it was, no
    initialisation is computed, and the file's tensors become the parameters.

    Args:
        weights: a verified local file.
        backbone_weights: a verified local file whose tensors the backbone alone starts from; ignored beside `weights`.
        wishes: what may differ between weights and model.

    Raises:
        MissingExtraError: torch is not installed.
        RegistryError: the device is not there, or a plugin's code fails.
        WeightsError: the file cannot be read or does not fit.
    """
    require_torch("building a model")
    target = parse_device(device)
    given = weights or backbone_weights
    if given is not None and on_meta(target):
        raise WeightsError("weights cannot be loaded on the meta device, which has no memory")
    try:
        spec = spec.settled(pretrained=given is not None)
        trained = spec.backbone.trained(pretrained=given is not None)
        if weights is not None:
            model = _with_weights(host, spec, weights, wishes or Wishes(), trained)
        elif on_meta(target):
            model = construct_meta(host, spec, trained=trained)
        else:
            state = None
            if backbone_weights is not None:
                found = read_state_dict(backbone_weights)
                state = fit_backbone(host, spec, found, wishes or Wishes(), backbone_weights.name)
            model = construct(host, spec, trained=trained, backbone_state=state)
    except (RegistryError, MemoryError):
        raise
    except Exception as error:
        parts = f"backbone `{spec.backbone.type}` and head `{spec.head.type}`"
        told = f"{type(error).__name__}: {error}{place_of(error)}"
        raise RegistryError(f"building `{spec.name}` from {parts} failed: {told}") from error
    # of a spec that names no weights, its own check has told
    named = spec.default_weights is not None or spec.backbone_weights is not None
    if given is None and named and trained is not None and trained < len(spec.backbone.feature_maps()):
        stages = len(spec.backbone.feature_maps())
        text = f"`{spec.name}`: the first {stages - trained} of the backbone's {stages} stages are frozen with random weights"
        warnings.warn(f"{text}; load weights, or write backbone.freeze=with_weights", RegistryWarning, stacklevel=3)
    model = place(model, None if on_meta(target) else target)
    model.spec = spec  # type: ignore[assignment]  # a plain attribute, not a module or tensor
    return model


def _with_weights(host: PluginHost, spec: ModelSpec, weights: Path, wishes: Wishes, trained: int | None) -> nn.Module:
    found = read_state_dict(weights)
    model, deferred = construct_hollow(host, spec, trained=trained)
    state = fit(host, spec, model.state_dict(), found, wishes, weights.name)
    if deferred is not None:
        if not _needs_init(host, spec, model, state) and deferred.assign(model, state):
            return model
        model = construct_apart(host, spec, trained=trained)
    model.load_state_dict(state, strict=True)
    return model


def _needs_init(host: PluginHost, spec: ModelSpec, model: nn.Module, state: Mapping[str, torch.Tensor]) -> bool:
    """True where a part's own initialisation may fill a buffer that no state dict holds."""
    if host.init(spec.backbone) is None and host.init(spec.head) is None:
        return False
    return any(name not in state for name, _ in model.named_buffers())


def build_task(host: PluginHost, spec: ModelSpec, categories: tuple[str, ...] | None) -> Task[Any, Any]:
    """The task object that feeds a model and reads its answers.

    Raises:
        MissingExtraError: torch is not installed.
        PluginError: the plugin's task cannot be imported.
    """
    require_torch("running a model")
    task: Task[Any, Any] = host.target(spec.task)(spec.task, categories)
    return task
