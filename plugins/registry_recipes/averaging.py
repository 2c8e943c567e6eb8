"""Averages of parameters: a moving one during training, and the mean of checkpoints after it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError
from registry_recipes.average_specs import EmaSpec
from registry_recipes.schedules import warmup_steps
from registry_recipes.specs import TrainingSpec


class Ema:
    """An exponential moving average of a model, counted in updates of that model.

    Of every `every` updates of an epoch the first one counts, as in torchvision's reference. The first that counts copies the
    model, and so do those within `follow` updates from the start.

    Args:
        spec: its settings.
        model: what is averaged; it is copied.
        batch: images per update of the model, for `spec.adjust`.
        epochs: of the training, likewise.
        steps_per_epoch: updates of the model in an epoch; None: the training is one long epoch.
        follow: updates from the start in which the average is the model itself, such as those of warm-up epochs.

    Attributes:
        module: the average, as a model in eval mode.
        updates: how often `update` was called.
    """

    def __init__(
        self,
        spec: EmaSpec,
        model: nn.Module,
        *,
        batch: int,
        epochs: int,
        steps_per_epoch: int | None = None,
        follow: int = 0,
    ) -> None:
        self._spec = spec
        self._decay = 1.0 - spec.weight(batch=batch, epochs=epochs)
        self._steps_per_epoch = steps_per_epoch
        self._follow = follow
        self._averaged = False
        self.updates = 0
        self.module = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes the model in; call it once after each update of the parameters."""
        step = self.updates if self._steps_per_epoch is None else self.updates % self._steps_per_epoch
        follows = self.updates < self._follow
        self.updates += 1
        if step % self._spec.every:
            return
        for mean, parameter in zip(self.module.parameters(), model.parameters(), strict=True):
            self._take(mean.data, parameter.detach(), averages=self._averaged)
        averaged = self._averaged and self._spec.buffers == "average"
        for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            self._take(kept, buffer, averages=averaged)
        self._averaged = not follows

    def _take(self, average: torch.Tensor, value: torch.Tensor, *, averages: bool) -> None:
        value = value.to(average.device)
        if averages and average.is_floating_point():
            value = self._decay * average + (1.0 - self._decay) * value
        average.copy_(value)

    def copy_to(self, model: nn.Module) -> None:
        """Writes the average, buffers included, into a model of the same structure."""
        model.load_state_dict(self.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the average's own state dict and the counts."""
        return {"model": self.module.state_dict(), "updates": self.updates, "averaged": self._averaged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint.

        Raises:
            RegistryError: it is of another form, or of another model.
        """
        try:
            updates, averaged = int(state["updates"]), bool(state["averaged"])
            self.module.load_state_dict(state["model"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RegistryError(f"this is no state of this model's moving average: {error}") from error
        self.updates, self._averaged = updates, averaged


def build_ema(recipe: TrainingSpec, model: nn.Module, *, batch: int, steps_per_epoch: int) -> Ema | None:
    """The moving average of a training, or None where the recipe has none.

    Args:
        batch: images per update of the model, over all processes.
        steps_per_epoch: updates of an epoch.
    """
    if recipe.ema is None:
        return None
    warmup = recipe.warmup
    whole = warmup is not None and warmup.epochs is not None and recipe.ema.reset_in_warmup
    follow = warmup_steps(warmup, steps_per_epoch) if whole else 0
    return Ema(recipe.ema, model, batch=batch, epochs=recipe.epochs, steps_per_epoch=steps_per_epoch, follow=follow)


def average_state_dicts(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of state dicts, as torchvision's `average_checkpoints` computes it.

    Floating numbers are summed in order and divided, those of half precision in single precision, and stay so. Integers, such
    as counts of batches, are the sum divided and rounded down. Truth values are those of the last.

    Raises:
        RegistryError: none are given, or they differ in names or shapes.
    """
    if not states:
        raise RegistryError("there is no checkpoint to average; give at least one")
    first = states[0]
    for index, state in enumerate(states[1:], start=2):
        differing = sorted(set(first).symmetric_difference(state))
        differing += [key for key in first if key in state and first[key].shape != state[key].shape]
        if differing:
            raise RegistryError(
                f"checkpoint {index} has another `{differing[0]}` than the first; average those of one model"
            )
    return {key: _mean([state[key] for state in states]) for key in first}


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    if values[0].dtype == torch.bool:
        return values[-1].clone()
    half = values[0].dtype in (torch.float16, torch.bfloat16)
    total = values[0].float() if half else values[0].clone()
    for value in values[1:]:
        total = total + value.to(total.device, total.dtype)
    if total.is_floating_point() or total.is_complex():
        return total / len(values)
    return torch.div(total, len(values), rounding_mode="floor")
