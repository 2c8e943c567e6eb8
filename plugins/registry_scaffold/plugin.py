"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The verb `new-plugin`."""
    register.command(
        "new-plugin",
        target="registry_scaffold.command:new_plugin",
        summary="Write a plugin to start from: code, document, tests, packaging.",
    )
