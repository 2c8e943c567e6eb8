"""Settings of the rate over a training: the schedule, the warm-up before it, the noise upon it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs import Finding, Listed, Spec

Epoch = Annotated[int, Field(ge=1, le=100_000)]
Factor = Annotated[float, Field(gt=0, le=1)]
Clock = Literal["epoch", "step"]


class ConstantSpec(Spec):
    """The rate stays as it is."""

    kind: Annotated[Literal["constant"], Field(description="Which schedule.")] = "constant"


class StepSpec(Spec):
    """Every so many epochs the rate is multiplied by a factor. Source: torch.optim.lr_scheduler.StepLR."""

    kind: Annotated[Literal["step"], Field(description="Which schedule.")] = "step"
    every: Annotated[Epoch, Field(description="Epochs between two steps.")]
    factor: Annotated[Factor, Field(description="What the rate is multiplied by at each step (gamma).")] = 0.1


class MultiStepSpec(Spec):
    """At given epochs the rate is multiplied by a factor. Source: torch.optim.lr_scheduler.MultiStepLR."""

    kind: Annotated[Literal["multi_step"], Field(description="Which schedule.")] = "multi_step"
    epochs: Annotated[
        Listed[Epoch],
        Field(min_length=1, max_length=100, description="Epochs that begin with a lower rate, counted from 0, rising."),
    ]
    factor: Annotated[Factor, Field(description="What the rate is multiplied by at each of them (gamma).")] = 0.1


class ExponentialSpec(Spec):
    """The rate is multiplied by a factor after each epoch. Source: torch.optim.lr_scheduler.ExponentialLR."""

    kind: Annotated[Literal["exponential"], Field(description="Which schedule.")] = "exponential"
    factor: Annotated[Factor, Field(description="What the rate is multiplied by after each epoch (gamma).")]


class CosineSpec(Spec):
    """Half a cosine from the rate down to a share of it. Paper: arXiv 1608.03983; torch's CosineAnnealingLR."""

    kind: Annotated[Literal["cosine"], Field(description="Which schedule.")] = "cosine"
    final_factor: Annotated[
        float, Field(ge=0, le=1, description="Share of the rate that is left at the end (eta_min divided by the rate).")
    ] = 0.0
    per: Annotated[Clock, Field(description="Whether the rate changes after each epoch or after each step.")] = "epoch"


class PolynomialSpec(Spec):
    """The share of steps that are left, to a power; changes after each step. Source: torch.optim.lr_scheduler.PolynomialLR."""

    kind: Annotated[Literal["polynomial"], Field(description="Which schedule.")] = "polynomial"
    power: Annotated[float, Field(gt=0, le=10, description="The exponent; 1 is a straight line.")] = 0.9


ScheduleSpec = Annotated[
    ConstantSpec | StepSpec | MultiStepSpec | ExponentialSpec | CosineSpec | PolynomialSpec, Field(discriminator="kind")
]


class WarmupSpec(Spec):
    """A lower rate at first. Source: torch's LinearLR and ConstantLR, as torchvision's references join them."""

    kind: Annotated[
        Literal["linear", "constant"],
        Field(description="`linear`: rises from the start factor to 1; `constant`: stays there, then jumps to 1."),
    ] = "linear"
    start_factor: Annotated[Factor, Field(description="Share of the rate in the first step.")] = 0.01
    steps: Annotated[
        int | None, Field(ge=1, le=10_000_000, description="Length in steps (updates). Instead of `epochs`.")
    ] = None
    epochs: Annotated[Epoch | None, Field(description="Length in epochs. Instead of `steps`.")] = None
    per: Annotated[Clock, Field(description="Whether the rate changes after each epoch or after each step.")] = "step"
    within_first_epoch: Annotated[
        bool,
        Field(description="End at the latest one step before the first epoch does, as torchvision's detection does."),
    ] = False
    delays_schedule: Annotated[
        bool,
        Field(
            description="Whether the schedule starts after the warm-up (torchvision's classification and segmentation) or with "
            "the training, both factors multiplied (its detection)."
        ),
    ] = True

    def problems(self, training: int, *path: str) -> Iterator[Finding]:
        """Two lengths or none, a length in steps that changes by epoch, and a length beyond the training.

        Args:
            training: its number of epochs.
        """
        if (self.steps is None) == (self.epochs is None):
            text = "a warm-up needs `epochs` or `steps`, and has " + ("neither" if self.steps is None else "both")
            yield Finding("REG201", path, text, "keep one of them", also=((*path, "steps"), (*path, "epochs")))
        elif self.steps is not None and self.per == "epoch":
            text = "a warm-up of some steps cannot change by epoch"
            yield Finding("REG201", (*path, "per"), text, "write per: step, or its length in `epochs`")
        elif self.epochs is not None and self.epochs >= training:
            text = f"the warm-up lasts {self.epochs} epochs and the training {training}"
            hint = f"write at most {training - 1}, or `steps`" if training > 1 else "write its length in `steps`"
            yield Finding("REG402", (*path, "epochs"), f"{text}, so the full rate is never used", hint)


class RateNoiseSpec(Spec):
    """The rate of each epoch is moved by chance: times 1 + noise, normal and cut off. It depends on seed and epoch alone.

    Source: the schedulers of timm (`lr_noise`, `lr_noise_pct`, `lr_noise_std`).
    """

    start: Annotated[float, Field(ge=0, lt=1, description="Share of the epochs after which it begins.")] = 0.0
    end: Annotated[float, Field(gt=0, le=1, description="Share of the epochs after which it ends.")] = 1.0
    limit: Annotated[float, Field(gt=0, lt=1, description="Largest noise, as a share of the rate.")] = 0.67
    std: Annotated[float, Field(gt=0, le=100, description="Deviation of the noise before it is cut off.")] = 1.0

    def problems(self, *path: str) -> Iterator[Finding]:
        """A range that ends before it begins."""
        if self.end <= self.start:
            text = f"the noise ends after {self.end:g} of the epochs and begins after {self.start:g}"
            yield Finding("REG201", (*path, "end"), text, "write a larger `end`", also=((*path, "start"),))


def schedule_problems(
    schedule: ScheduleSpec, training: int, warmup: WarmupSpec | None, *path: str
) -> Iterator[Finding]:
    """Steps that fall behind the last epoch, and epochs that do not rise.

    Args:
        training: number of epochs.
        warmup: what delays the schedule, if anything does.
    """
    delay = (warmup.epochs or 0) if warmup is not None and warmup.delays_schedule else 0
    after = f" after a warm-up of {delay}" if delay else ""
    lasts = f"the training has {training} epochs{after}"
    if isinstance(schedule, StepSpec) and schedule.every + delay >= training:
        text = f"the rate falls every {schedule.every} epochs and {lasts}, so it never falls"
        hint = f"write at most {training - delay - 1}" if training - delay > 1 else "train longer"
        yield Finding("REG401", (*path, "every"), text, hint, "warning")
    if isinstance(schedule, MultiStepSpec):
        for index, epoch in enumerate(schedule.epochs):
            if index and epoch <= schedule.epochs[index - 1]:
                text = f"epoch {epoch} comes after {schedule.epochs[index - 1]}"
                yield Finding("REG201", (*path, "epochs", index), text, "write each epoch once, in rising order")
            elif epoch + delay >= training:
                text = f"the rate falls at epoch {epoch} and {lasts}, counted from 0, so it does not"
                yield Finding(
                    "REG401", (*path, "epochs", index), text, "train longer, or let it fall earlier", "warning"
                )
