"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The detection task, three heads, COCO's class names, and the documents."""
    specs = "registry_detection.specs"
    register.task("detection", spec=f"{specs}:DetectionSpec", target="registry_detection.task:DetectionTask")
    register.head("faster_rcnn", spec=f"{specs}:FasterRCNNSpec", target="registry_detection.faster_rcnn:build")
    register.head("retinanet", spec=f"{specs}:RetinaNetSpec", target="registry_detection.retinanet:build")
    register.head(
        "ssdlite",
        spec=f"{specs}:SSDLiteSpec",
        target="registry_detection.ssdlite:build",
        init="registry_detection.ssdlite:init",
    )
    register.categories("coco91", "registry_detection", "categories/coco91.txt")
    register.catalog("registry_detection", "catalog")
    register.rules("registry_detection", "rules")
