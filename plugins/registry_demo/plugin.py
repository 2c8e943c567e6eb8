"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The verb `demo` and the small models that it trains."""
    register.command("demo", target="registry_demo.command:demo", summary="Train, save and use small models, offline.")
    register.catalog("registry_demo", "catalog")
