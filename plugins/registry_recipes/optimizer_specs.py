"""Settings of optimizers: RMSprop with its two meanings of epsilon, SGD, AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from registry.errors import RegistryError
from registry.specs import Finding, Spec

Decay = Annotated[float, Field(ge=0, le=10)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[float, Field(gt=0, le=100)]


class _OptimizerSpec(Spec):
    """What every optimizer has: how fast parameters shrink."""

    weight_decay: Annotated[
        Decay,
        Field(description="Share of itself that is added to a parameter's gradient; AdamW: taken off at the rate."),
    ] = 0.0
    norm_weight_decay: Annotated[
        Decay | None, Field(description="The same for parameters of norm layers; null: as every other.")
    ] = None
    bias_weight_decay: Annotated[
        Decay | None, Field(description="The same for biases, those of norm layers included; null: as every other.")
    ] = None

    def problems(self, *path: str) -> Iterator[Finding]:
        """Settings that contradict each other; `path` leads to this optimizer."""
        yield from ()


class RMSpropSpec(_OptimizerSpec):
    """RMSprop. Source: torch.optim.RMSprop, or TensorFlow's with `tensorflow: true`.

    PyTorch divides by `sqrt(mean square) + eps`, TensorFlow by `sqrt(mean square + tf_eps)`: the same number means a far weaker
    damping in PyTorch, which is why `eps` is the square root of `tf_eps`.
    """

    kind: Annotated[Literal["rmsprop"], Field(description="Which optimizer.")] = "rmsprop"
    eps: Annotated[
        Epsilon | None, Field(description="Epsilon as PyTorch means it: outside the root. Instead of `tf_eps`.")
    ] = None
    tf_eps: Annotated[
        Epsilon | None, Field(description="Epsilon as TensorFlow means it: inside the root. Instead of `eps`.")
    ] = None
    alpha: Annotated[
        float, Field(ge=0, lt=1, description="Share of the old mean square in the new one (rho in TensorFlow).")
    ] = 0.9
    momentum: Annotated[Momentum, Field(description="Share of the last update in the next one.")] = 0.9
    tensorflow: Annotated[
        bool,
        Field(
            description="Compute as TensorFlow: epsilon inside the root, mean square from one, rate inside momentum."
        ),
    ] = False

    def _given(self) -> float:
        if (self.eps is None) == (self.tf_eps is None):
            raise RegistryError("rmsprop needs exactly one of `eps` and `tf_eps`, as in eps: 0.0316 or tf_eps: 0.001")
        return self.eps if self.eps is not None else math.sqrt(self.tf_eps or 0.0)

    def outer_epsilon(self) -> float:
        """What PyTorch adds to the root: `eps`, or the root of `tf_eps`; raises RegistryError for both or neither."""
        return self._given()

    def inner_epsilon(self) -> float:
        """What TensorFlow adds inside the root: `tf_eps`, or the square of `eps`; raises RegistryError for both or neither."""
        given = self._given()
        return self.tf_eps if self.tf_eps is not None else given * given

    def problems(self, *path: str) -> Iterator[Finding]:
        """Both epsilons, or neither."""
        if self.eps is not None and self.tf_eps is not None:
            text = f"`eps` {self.eps:g} and `tf_eps` {self.tf_eps:g} both set the epsilon"
            hint = "keep one: `eps` is added outside the root, `tf_eps` inside, and becomes its square root"
            yield Finding("REG403", (*path, "tf_eps"), text, hint, also=((*path, "eps"),))
        elif self.eps is None and self.tf_eps is None:
            text = "RMSprop has no epsilon, on which its training depends"
            hint = "write eps: 0.0316 as PyTorch means it, or tf_eps: 0.001 as TensorFlow does: they are the same"
            yield Finding("REG403", path, text, hint)


class SGDSpec(_OptimizerSpec):
    """Stochastic gradient descent. Source: torch.optim.SGD."""

    kind: Annotated[Literal["sgd"], Field(description="Which optimizer.")] = "sgd"
    momentum: Annotated[Momentum, Field(description="Share of the last update in the next one.")] = 0.9
    nesterov: Annotated[bool, Field(description="Look ahead by the momentum.")] = False

    def problems(self, *path: str) -> Iterator[Finding]:
        """Nesterov's look ahead without a momentum."""
        if self.nesterov and self.momentum == 0:
            text = "`nesterov` looks ahead by the momentum, which is 0"
            hint = "write a momentum such as 0.9, or remove `nesterov`"
            yield Finding("REG201", (*path, "nesterov"), text, hint, also=((*path, "momentum"),))


class AdamWSpec(_OptimizerSpec):
    """Adam with decoupled weight decay. Paper: arXiv 1711.05101; torch.optim.AdamW."""

    kind: Annotated[Literal["adamw"], Field(description="Which optimizer.")] = "adamw"
    beta1: Annotated[Momentum, Field(description="Share of the old mean gradient in the new one.")] = 0.9
    beta2: Annotated[Momentum, Field(description="Share of the old mean square in the new one.")] = 0.999
    eps: Annotated[Epsilon, Field(description="Added to the root of the mean square.")] = 1e-8


OptimizerSpec = Annotated[RMSpropSpec | SGDSpec | AdamWSpec, Field(discriminator="kind")]
