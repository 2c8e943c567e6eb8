"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The verb `tune`."""
    summary = "Search the settings under which a model trains best."
    register.command("tune", target="registry_tuning.command_tune:tune", summary=summary)
