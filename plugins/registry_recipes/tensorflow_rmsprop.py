"""RMSprop as TensorFlow computes it, in which many published mobile networks were trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class TensorFlowRMSprop(torch.optim.Optimizer):
    """`ms = alpha * ms + (1 - alpha) * g^2`; `buf = momentum * buf + lr * g / sqrt(ms + eps)`; `p = p - buf`.

    Three things differ from torch.optim.RMSprop: epsilon is inside the root, the mean square begins at one, and the rate is
    part of what momentum keeps, so that a lower rate takes hold slowly. Source: tf.compat.v1.train.RMSPropOptimizer.

    Args:
        params: parameters or groups of them.
        lr: learning rate, 0 or more.
        alpha: share of the old mean square in the new one, 0 to 1 (`decay` in TensorFlow).
        eps: added to the mean square, inside the root.
        momentum: share of the last update in the next one, 0 to 1.
        weight_decay: share of a parameter that is added to its gradient.

    Raises:
        ValueError: a setting out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        alpha: float = 0.9,
        eps: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value, most in (("lr", lr, None), ("eps", eps, None), ("alpha", alpha, 1), ("momentum", momentum, 1)):
            if value < 0 or (most is not None and value >= most):
                raise ValueError(f"{name} must be 0 or more{'' if most is None else ' and below 1'}, got {value}")
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; returns what `closure` does, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if not state:
            state["square_avg"] = torch.ones_like(parameter, memory_format=torch.preserve_format)
            state["momentum_buffer"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        square = state["square_avg"]
        square.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        root = square.add(group["eps"]).sqrt_()
        buffer = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).addcdiv_(gradient, root, value=group["lr"])
        parameter.sub_(buffer)
