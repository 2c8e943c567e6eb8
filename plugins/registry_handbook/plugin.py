"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """Pages of the core's rules."""
    register.rules("registry_handbook", "rules")
