"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The recipe type, the documents, and the rules that its checks report."""
    register.recipe("training", spec="registry_recipes.specs:TrainingSpec")
    register.catalog("registry_recipes", "catalog")
    register.rules("registry_recipes", "rules")
