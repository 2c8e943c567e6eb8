"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """One head, its documents, and the page of its own rule."""
    register.head(
        "centernet",
        spec="registry_centernet.specs:CenterNetSpec",
        target="registry_centernet.head:build",
        init="registry_centernet.head:init",
    )
    register.catalog("registry_centernet", "catalog")
    register.rules("registry_centernet", "rules")
