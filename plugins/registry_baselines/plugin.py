"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """ResNet and MobileNetV2 backbones, their classifiers, and the documents that stand on them."""
    specs, init = "registry_baselines.specs", "registry.modules.initialisation:he_fan_out"
    register.backbone("resnet", spec=f"{specs}:ResNetSpec", target="registry_baselines.resnet:build", init=init)
    register.backbone(
        "mobilenet_v2", spec=f"{specs}:MobileNetV2Spec", target="registry_baselines.mobilenet_v2:build", init=init
    )
    register.head(
        "resnet_classifier",
        spec=f"{specs}:ResNetClassifierSpec",
        target="registry_baselines.classifiers:build_resnet",
    )
    register.head(
        "mobilenet_v2_classifier",
        spec=f"{specs}:MobileNetV2ClassifierSpec",
        target="registry_baselines.classifiers:build_mobilenet_v2",
        init="registry_baselines.classifiers:init_mobilenet_v2",
    )
    register.catalog("registry_baselines", "catalog")
