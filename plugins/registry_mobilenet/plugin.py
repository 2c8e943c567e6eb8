"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The MobileNetV3 backbone and its documents."""
    register.backbone(
        "mobilenet_v3",
        spec="registry_mobilenet.specs:MobileNetV3Spec",
        target="registry_mobilenet.backbone:build",
        init="registry.modules.initialisation:he_fan_out",
    )
    register.catalog("registry_mobilenet", "catalog")
    register.rules("registry_mobilenet", "rules")
