"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """timm's backbones, the classifier of EfficientNet, and documents that use them."""
    register.backbone("timm", spec="registry_timm.specs:TimmSpec", target="registry_timm.backbone:build")
    register.head(
        "efficientnet_classifier",
        spec="registry_timm.specs:EfficientNetClassifierSpec",
        target="registry_timm.classifier:build",
        init="registry_timm.classifier:init",
    )
    register.catalog("registry_timm", "catalog")
