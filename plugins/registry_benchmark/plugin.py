"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The verb `benchmark`."""
    summary = "Time models and exported files against each other, on the same cores."
    register.command("benchmark", target="registry_benchmark.command:benchmark", summary=summary)
