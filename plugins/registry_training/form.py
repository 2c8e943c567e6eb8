"""What a run keeps of the model under training, and what it measures: the model itself, unless it is of another kind."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from registry.registry import Registry


class Form:
    """A model that is measured and kept as it is, in checkpoints that `Registry.build` takes.

    Attributes:
        suffix: of its files.
    """

    suffix = ".safetensors"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def before(self, model: nn.Module, epoch: int) -> None:
        """Called before an epoch, counted from 0, and before the rest of one that is gone on with."""

    def measured(self, model: nn.Module) -> nn.Module:
        """What validation measures."""
        return model

    def save(self, model: nn.Module, path: Path) -> None:
        """Writes it whole or not at all.

        Raises:
            RegistryError: it cannot be written.
        """
        self._registry.save(model, path)
