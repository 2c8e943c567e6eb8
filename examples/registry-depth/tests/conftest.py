"""What the tests share: one thread, and a small model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import registry


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small convolutions on one thread: where other work shares the cores, threads that wait for each other are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def task_of() -> Callable[..., Any]:
    """The task of `depth_mnv3_small` under some settings of its own, given by name."""

    def made(**settings: Any) -> Any:
        spec = registry.load_spec("depth_mnv3_small", overrides={"task": settings, "head": _range(settings)})
        return registry.default_registry().task(spec)

    return made


def _range(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key in ("min_depth", "max_depth")}


class Fixed(nn.Module):
    """A model that says the same depths whatever it is shown, from a parameter that can learn."""

    def __init__(self, depth: torch.Tensor) -> None:
        super().__init__()
        self.depth = nn.Parameter(depth)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W)."""
        return self.depth


@pytest.fixture
def fixed() -> Callable[[torch.Tensor], Fixed]:
    """A model with the given answer."""
    return Fixed
