"""Checking what a model is given, where exporters and compilers do not look."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Checked(nn.Module):
    """A module that looks at its arguments before it runs.

    The check sits in the call, not in `forward` and not in a hook: scripting, tracing and compiling see a plain module.

    Attributes:
        checks_inputs: False switches the check off.
    """

    checks_inputs = True  # not annotated: TorchScript cannot read annotations that are kept as text

    def check_inputs(self, *args: Any, **kwargs: Any) -> None:
        """Raises RegistryError for arguments that would fail, or silently train on nonsense; given what `forward` is."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it checks")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.checks_inputs and not (torch.compiler.is_compiling() or torch._C._get_tracing_state()):
            self.check_inputs(*args, **kwargs)
        return super().__call__(*args, **kwargs)
