"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The classification task, a classifier head, and ImageNet's class names."""
    register.task(
        "classification",
        spec="registry_classification.specs:ClassificationSpec",
        target="registry_classification.task:ClassificationTask",
    )
    register.head(
        "mobilenet_v3_classifier",
        spec="registry_classification.specs:MobileNetV3ClassifierSpec",
        target="registry_classification.classifier:build",
        init="registry_classification.classifier:init",
    )
    register.categories("imagenet1k", "registry_classification", "categories/imagenet1k.txt")
