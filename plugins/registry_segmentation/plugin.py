"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The segmentation task, three heads, Pascal VOC's class names, and the documents."""
    specs = "registry_segmentation.specs"
    register.task(
        "segmentation", spec=f"{specs}:SegmentationSpec", target="registry_segmentation.task:SegmentationTask"
    )
    register.head("lraspp", spec=f"{specs}:LRASPPSpec", target="registry_segmentation.lraspp:build")
    register.head("deeplabv3", spec=f"{specs}:DeepLabV3Spec", target="registry_segmentation.dense:build_deeplabv3")
    register.head("fcn", spec=f"{specs}:FCNSpec", target="registry_segmentation.dense:build_fcn")
    register.categories("voc21", "registry_segmentation", "categories/voc21.txt")
    register.catalog("registry_segmentation", "catalog")
    register.rules("registry_segmentation", "rules")
