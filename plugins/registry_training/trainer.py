"""The loop: batches in, updates of the parameters out, and what is needed to go on kept on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from registry_recipes.averaging import build_ema
from registry_recipes.mixing import batch_mixing
from registry_recipes.optimizers import build_optimizer
from registry_recipes.schedules import rate_factor
from torch import nn

from registry.errors import RegistryError
from registry.tasks import Task
from registry_training.loading import Batch, Samples, batches_from
from registry_training.order import Order, share
from registry_training.plan import Plan
from registry_training.seeds import step_seed
from registry_training.state import Position, State

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Step:
    """What one step came to.

    Attributes:
        losses: means over the batch of this process, by name.
        rate: of the first group.
        images: pictures of all processes.
        seconds: since the step before ended.
    """

    epoch: int
    step: int
    losses: dict[str, float]
    rate: float
    images: int
    seconds: float

    @property
    def loss(self) -> float:
        """Their sum."""
        return sum(self.losses.values())


class NotFiniteError(RegistryError):
    """A loss that is no number: the run stops before it spoils the parameters.

    Attributes:
        names: files of the batch.
    """

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


class Trainer:
    """A model under training.

    Args:
        steps: updates of an epoch.

    Attributes:
        model: the module, as it was built.
        position: where the run is.
    """

    def __init__(
        self, plan: Plan, model: nn.Module, task: Task[Any, Any], steps: int, accelerator: Accelerator
    ) -> None:
        recipe = plan.recipe
        self._plan = plan
        self._task = task
        self._accelerator = accelerator
        if recipe.sync_batch_norm and accelerator.num_processes > 1:
            if accelerator.device.type == "cpu":
                raise RegistryError(
                    "torch has no synchronised batch norm on a CPU; set recipe.sync_batch_norm to false"
                )
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.model = model.to(accelerator.device)
        self._optimizer = build_optimizer(recipe, self.model, batch=recipe.batch_size)
        self._ema = build_ema(recipe, self.model, batch=recipe.batch_size, steps_per_epoch=steps)
        self._mix = batch_mixing(recipe, plan.model.head.num_classes)
        self._wrapped, self._stepper = accelerator.prepare(self.model, self._optimizer)
        self.position = Position()
        self.left_out = 0

    def state(self, best: list[tuple[int, float]], lines: int) -> State:
        """Everything that is needed to go on from here.

        Args:
            best, lines: see `State`.
        """
        scaler = self._accelerator.scaler
        return State(
            self._plan.digest(),
            self.position,
            self.model.state_dict(),
            self._optimizer.state_dict(),
            scaler.state_dict() if scaler is not None else None,
            self._ema.state_dict() if self._ema is not None else None,
            best,
            self.left_out,
            lines,
        )

    def resume(self, state: State) -> None:
        """Goes on from a state.

        Raises:
            RegistryError: it is that of another run.
        """
        if state.digest != self._plan.digest():
            raise RegistryError(
                "the checkpoint is that of another model, recipe or data set; give the same as before, or start anew "
                "in another folder"
            )
        self.model.load_state_dict(state.model)
        self._optimizer.load_state_dict(state.optimizer)
        if state.scaler is not None and self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state.scaler)
        if state.ema is not None and self._ema is not None:
            self._ema.load_state_dict(state.ema)
        self.position, self.left_out = state.position, state.left_out

    @contextmanager
    def measured(self) -> Iterator[nn.Module]:
        """The model with the parameters that are measured and kept, the averaged ones where there are any, while this holds."""
        if self._ema is None:
            yield self.model
            return
        own = {key: value.clone() for key, value in self.model.state_dict().items()}
        self._ema.copy_to(self.model)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(own)

    def epoch(self, order: Order, samples: Samples, workers: int) -> Iterator[Step]:
        """Trains from where the run is to the end of the epoch.

        Raises:
            NotFiniteError: a loss is no number; nothing was updated by it.
            ImageError, RegistryError: as loading and the task's losses.
        """
        plan, rank = self._plan, self._accelerator.process_index
        epoch, first = self.position.epoch, self.position.step
        whole = order.batches(epoch)
        mine = [share(batch, rank, plan.processes) for batch in whole]
        self._wrapped.train()
        before = time.perf_counter()
        for step, batch in enumerate(batches_from(samples, epoch, mine, first, workers), start=first):
            self.left_out += len(batch.left_out)
            torch.manual_seed(step_seed(plan.seed, epoch, step, rank))
            # pictures that were left out do not weigh; with several processes none can be
            images = len(whole[step]) if plan.processes > 1 else len(batch.names)
            losses = self._update(batch, images, epoch * order.steps() + step, order.steps())
            self.position = Position(epoch, step + 1, self.position.updates + 1)
            now = time.perf_counter()
            yield Step(epoch, step, losses, self._rate(), len(whole[step]), now - before)
            before = now
        self.position = Position(epoch + 1, 0, self.position.updates)

    def _rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def _update(self, batch: Batch, images: int, step: int, steps: int) -> dict[str, float]:
        recipe, accelerator = self._plan.recipe, self._accelerator
        factor = rate_factor(recipe, step, steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        told: dict[str, float] = {}
        if batch.inputs is None:
            return told  # every picture of the batch was left out
        parts = list(self._parts(batch))
        for number, (inputs, targets, count) in enumerate(parts, start=1):
            # gradients are averaged over processes: weighed so that each picture counts alike
            weight = count * accelerator.num_processes / images
            with self._exchanged(number == len(parts)):
                with accelerator.autocast():
                    losses = self._task.losses(self._wrapped, inputs, targets, self._plan.model.head, recipe)
                for name, loss in losses.items():
                    told[name] = told.get(name, 0.0) + float(loss.detach()) * count / len(batch.names)
                total = torch.stack([loss.float() for loss in losses.values()]).sum()
                self._refuse_nonsense(told, batch.names)
                accelerator.backward(total if weight == 1 else total * weight)
        self._clip()
        self._stepper.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._ema is not None:
            self._ema.update(self.model)
        return told

    def _exchanged(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients of parts are added up in each process, and exchanged once, with those of the last."""
        return nullcontext() if last else self._accelerator.no_sync(self._wrapped)

    def _parts(self, batch: Batch) -> Iterator[tuple[Any, Any, int]]:
        """The batch on its device, mixed, in as many parts as the recipe accumulates."""
        device = self._accelerator.device
        inputs, targets = _moved(batch.inputs, device), _moved(batch.targets, device)
        if self._mix is not None:
            inputs, targets = self._mix(inputs, targets)
        size = math.ceil(len(batch.names) / self._plan.recipe.accumulation)
        for start in range(0, len(batch.names), size):
            count = len(batch.names[start : start + size])
            yield inputs[start : start + size], targets[start : start + size], count

    def _clip(self) -> None:
        recipe = self._plan.recipe
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        if recipe.clip_norm is not None:
            self._accelerator.clip_grad_norm_(parameters, recipe.clip_norm)
        if recipe.clip_value is not None:
            self._accelerator.clip_grad_value_(parameters, recipe.clip_value)

    @staticmethod
    def _refuse_nonsense(losses: dict[str, float], names: list[str]) -> None:
        wrong = [name for name, loss in losses.items() if not math.isfinite(loss)]
        if wrong:
            told = ", ".join(f"{name} is {losses[name]}" for name in wrong)
            hint = "lower recipe.rate, clip gradients with recipe.clip_norm, or look at the pictures of the batch"
            raise NotFiniteError(f"a loss is no number: {told}; {hint}", names)


def _moved(value: Any, device: torch.device) -> Any:
    """Tensors on a device, through lists and mappings."""
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_moved(item, device) for item in value]
    return value


Progress = Callable[[Step], None]
