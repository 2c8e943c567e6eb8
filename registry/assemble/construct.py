"""Putting a model together from the parts that its spec names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from registry.errors import MissingExtraError, RegistryError
from registry.host import PluginHost
from registry.specs import BackboneSpec, ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from registry.modules.deferred import Deferred


class Hollow(NamedTuple):
    """A module whose parameters are about to be replaced, on the CPU.

    Attributes:
        deferred: what can give it its tensors, or None where it was constructed as usual and they must be copied.
    """

    module: nn.Module
    deferred: Deferred | None


def require_torch(what: str) -> None:
    """Raises MissingExtraError, naming the extra, where torch is not installed."""
    try:
        import torch  # noqa: F401  only its presence matters
        import torchvision  # noqa: F401  the material that parts are made of
    except ImportError as error:
        raise MissingExtraError(what, "torch", error.name or "torch") from error


def construct_backbone(host: PluginHost, spec: BackboneSpec) -> nn.Module:
    """A backbone alone, its parameters as the constructors of its layers leave them."""
    backbone: nn.Module = host.target(spec)(spec)
    return backbone


def construct(
    host: PluginHost,
    spec: ModelSpec,
    *,
    init: bool = True,
    trained: int | None = None,
    backbone_state: dict[str, torch.Tensor] | None = None,
) -> nn.Module:
    """The model with freshly initialised parameters, on torch's current default device.

    Backbone and head are constructed first and initialised after, in the order of their modules, because that is the order
    in which torchvision's classifiers draw random numbers. Its other builders draw some for a classifier that they drop.

    Args:
        init: False leaves out the parts' own initialisation, for parameters that are about to be replaced.
        trained: how many of the backbone's last stages keep their gradients; None for all.
        backbone_state: tensors that the backbone starts from, copied in after the initialisation.
    """
    from registry.modules.freeze import freeze_stages

    backbone = construct_backbone(host, spec.backbone)
    if trained is not None:
        freeze_stages(spec.backbone, backbone, trained)
    model: nn.Module = host.target(spec.head)(spec.head, backbone, spec.backbone)
    if init:
        for part, module in ((spec.backbone, backbone), (spec.head, model)):
            initialise = host.init(part)
            if initialise is not None:
                initialise(part, module)
    if backbone_state is not None:
        backbone.load_state_dict(backbone_state, strict=True)
    return model


def construct_meta(host: PluginHost, spec: ModelSpec, *, trained: int | None = None) -> nn.Module:
    """The model on the meta device: shapes without memory, and no random number drawn."""
    import torch

    with torch.device("meta"):
        return construct(host, spec, init=False, trained=trained)


def construct_apart(host: PluginHost, spec: ModelSpec, *, trained: int | None = None) -> nn.Module:
    """The model on the CPU, its random numbers drawn from the global state, which is then put back."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return construct(host, spec, trained=trained)


def construct_hollow(host: PluginHost, spec: ModelSpec, *, trained: int | None = None) -> Hollow:
    """The model without memory for parameters and without initialisation, or as usual where a part needs their values.

    The global random state is left as it was.
    """
    return _hollow(
        lambda: construct(host, spec, init=False, trained=trained), lambda: construct(host, spec, trained=trained)
    )


def construct_hollow_backbone(host: PluginHost, spec: BackboneSpec) -> nn.Module:
    """A backbone alone for its shapes, otherwise as `construct_hollow`."""
    return _hollow(*[lambda: construct_backbone(host, spec)] * 2).module


def _hollow(bare: Callable[[], nn.Module], usual: Callable[[], nn.Module]) -> Hollow:
    import torch

    from registry.modules.deferred import Deferred

    # a default device costs time on every call, so only another one is changed
    with torch.random.fork_rng(devices=[]), contextlib.ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        before = torch.get_rng_state()
        with contextlib.suppress(Exception), Deferred() as deferred:
            return Hollow(bare(), deferred)
        torch.set_rng_state(before)
        return Hollow(usual(), None)


def place(model: nn.Module, device: torch.device | None) -> nn.Module:
    """The model moved to a device.

    Raises:
        RegistryError: the device is not there.
    """
    if device is None:
        return model
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RegistryError(f"the device `{device}` cannot be used: {first}") from error


def parse_device(device: str | torch.device | None) -> torch.device | None:
    """A torch device from its name.

    Raises:
        RegistryError: no such kind of device.
    """
    import torch

    if device is None or isinstance(device, torch.device):
        return device
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise RegistryError(f"`{device}` is not a device; write for instance `cpu`, `cuda` or `cuda:1`") from error


def on_meta(device: torch.device | None) -> bool:
    """True if parameters are to have no memory."""
    return device is not None and device.type == "meta"
