"""Builds the optimizer of a recipe, with its groups of parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry_recipes.optimizer_specs import AdamWSpec, RMSpropSpec
from registry_recipes.specs import TrainingSpec
from registry_recipes.tensorflow_rmsprop import TensorFlowRMSprop

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
)


def build_optimizer(recipe: TrainingSpec, model: nn.Module, *, batch: int) -> torch.optim.Optimizer:
    """The optimizer of a training; parameters that need no gradient are left out.

    Args:
        model: whose parameters are trained.
        batch: images per step, over all processes and accumulated passes; the rate follows it, see `TrainingSpec.rate_for`.

    Returns:
        torch's own optimizer, or `TensorFlowRMSprop`. Each group has a `name` (`main`, `norm`, `bias`, and each with
        `auxiliary_` before it) and `initial_lr`, the rate that a schedule multiplies.

    Raises:
        RegistryError: nothing to train, or an RMSprop with both epsilons or neither.
    """
    groups = parameter_groups(recipe, model, recipe.rate_for(batch))
    settings, rate = recipe.optimizer, recipe.rate_for(batch)
    decay = settings.weight_decay
    if isinstance(settings, RMSpropSpec):
        shared: dict[str, Any] = {
            "lr": rate,
            "alpha": settings.alpha,
            "momentum": settings.momentum,
            "weight_decay": decay,
        }
        if settings.tensorflow:
            return TensorFlowRMSprop(groups, eps=settings.inner_epsilon(), **shared)
        return torch.optim.RMSprop(groups, eps=settings.outer_epsilon(), **shared)
    if isinstance(settings, AdamWSpec):
        betas = (settings.beta1, settings.beta2)
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=settings.eps, weight_decay=decay)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov, weight_decay=decay)


def parameter_groups(recipe: TrainingSpec, model: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Groups of one rate and one weight decay, in the order of the model's parameters; a shared parameter counts once.

    As in torchvision's references, a bias of a norm layer is a bias where `bias_weight_decay` is set, else a part of the norm.
    Auxiliary heads are modules with a name, at any depth, that begins with `aux`.
    """
    settings = recipe.optimizer
    decays = {"main": settings.weight_decay, "norm": settings.norm_weight_decay, "bias": settings.bias_weight_decay}
    groups: dict[str, dict[str, Any]] = {}
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        auxiliary = any(part.startswith("aux") for part in path.split("."))
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            kind = _kind(module, name, decays)
            key = f"auxiliary_{kind}" if auxiliary else kind
            if key not in groups:
                own = rate * recipe.auxiliary_rate if auxiliary else rate
                groups[key] = {"name": key, "params": [], "lr": own, "initial_lr": own, "weight_decay": decays[kind]}
            groups[key]["params"].append(parameter)
    if not groups:
        raise RegistryError("no parameter of the model is trained: all are frozen; raise trainable_stages")
    return list(groups.values())


def _kind(module: nn.Module, name: str, decays: dict[str, float | None]) -> str:
    if name == "bias" and decays["bias"] is not None:
        return "bias"
    return "norm" if isinstance(module, _NORMS) and decays["norm"] is not None else "main"
