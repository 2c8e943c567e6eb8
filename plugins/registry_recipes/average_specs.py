"""Settings of averages of the parameters, and of what a quantization-aware training adapts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.specs import Finding, Spec

#: A share that single precision, of 24 bits, rounds away from a value.
_LOST = 2.0**-24


class EmaSpec(Spec):
    """An exponential moving average of the parameters. Source: torchvision's classification reference."""

    decay: Annotated[float, Field(ge=0, le=1, description="Share of the old average in the new one.")] = 0.99998
    every: Annotated[int, Field(ge=1, le=100_000, description="Updates of the model per update of the average.")] = 32
    adjust: Annotated[
        bool,
        Field(
            description="Multiply 1 - decay by batch x every / epochs, so that it fits any length, as torchvision does."
        ),
    ] = True
    buffers: Annotated[
        Literal["average", "copy"],
        Field(description="Whether running statistics are averaged too or taken as they are; counts are always taken."),
    ] = "average"
    reset_in_warmup: Annotated[
        bool,
        Field(description="Follow the model without averaging during the epochs of a warm-up, as torchvision does."),
    ] = True

    def weight(self, *, batch: int, epochs: int) -> float:
        """Share of the model in each new average, 0 to 1.

        Args:
            batch: images per update of the model, over all processes.
            epochs: of the training.
        """
        adjusted = batch * self.every / epochs if self.adjust else 1.0
        return min(1.0, (1.0 - self.decay) * adjusted)

    def problems(self, batch: int, epochs: int, *path: str) -> Iterator[Finding]:
        """An average that never moves, or that is no average."""
        weight = self.weight(batch=batch, epochs=epochs)
        adjusted = " after adjusting" if self.adjust else ""
        place = (*path, "decay")
        if weight <= _LOST:
            text = f"the average takes {weight:.3g} of the model at each update{adjusted}, which rounding loses"
            yield Finding("REG405", place, f"{text}: it never moves", "write a smaller decay, such as 0.9999")
        elif weight == 1.0:
            text = f"the average takes all of the model at each update{adjusted}, so it averages nothing"
            hint = (
                "write a larger decay, a smaller `every`, or adjust: false" if self.adjust else "write a larger decay"
            )
            yield Finding("REG405", place, text, hint, "warning")


class AveragingSpec(Spec):
    """The mean of some checkpoints is the result of the training. Source: torchvision's `average_checkpoints`."""

    which: Annotated[
        Literal["last", "best"],
        Field(description="The last epochs that were validated, or the last ones that improved."),
    ] = "last"
    count: Annotated[int, Field(ge=1, le=100, description="How many checkpoints.")] = 3

    def problems(self, epochs: int, every: int, *path: str) -> Iterator[Finding]:
        """More checkpoints than there will be.

        Args:
            epochs: of the training.
            every: epochs per validation.
        """
        there = -(-epochs // every)
        if self.count > there:
            text = f"{self.count} checkpoints are averaged and {there} will be there"
            yield Finding("REG408", (*path, "count"), text, f"write at most {there}", "warning")


class QuantizationAwareSpec(Spec):
    """When a quantization-aware training stops to adapt. Source: torchvision's `train_quantization.py`."""

    observer_epochs: Annotated[
        int, Field(ge=1, le=100_000, description="Epochs in which observers follow the ranges of values.")
    ] = 4
    batch_norm_epochs: Annotated[
        int,
        Field(ge=0, le=100_000, description="Epochs in which batch norms follow mean and variance; 0: they never do."),
    ] = 3

    def problems(self, epochs: int, *path: str) -> Iterator[Finding]:
        """Stops behind the last epoch."""
        for name in ("observer_epochs", "batch_norm_epochs"):
            if getattr(self, name) >= epochs:
                text = f"`{name}` {getattr(self, name)} is not before the end of {epochs} epochs, so nothing ever stops"
                yield Finding("REG401", (*path, name), text, "train longer, or stop earlier", "warning")
