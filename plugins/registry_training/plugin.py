"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The verbs `train` and `evaluate`."""
    summary = "Train a model on a data set as a recipe says; resumable at any moment."
    register.command("train", target="registry_training.command_train:train", summary=summary)
    summary = "Measure a model on a data set."
    register.command("evaluate", target="registry_training.command_evaluate:evaluate", summary=summary)
