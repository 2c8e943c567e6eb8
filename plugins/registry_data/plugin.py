"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The data sets, their documents, and the verb `data`."""
    specs, own = "registry_data.specs", "registry_data"
    register.dataset("image_folder", spec=f"{specs}:ImageFolderSpec", target=f"{own}.image_folder:build")
    register.dataset("table", spec=f"{specs}:TableSpec", target=f"{own}.table:build")
    register.dataset("coco_detection", spec=f"{specs}:CocoDetectionSpec", target=f"{own}.coco_detection:build")
    register.dataset("coco_segmentation", spec=f"{specs}:CocoSegmentationSpec", target=f"{own}.coco_segmentation:build")
    register.dataset("voc_detection", spec=f"{specs}:VocDetectionSpec", target=f"{own}.voc:build_detection")
    register.dataset("voc_segmentation", spec=f"{specs}:VocSegmentationSpec", target=f"{own}.voc:build_segmentation")
    register.dataset("mask_pairs", spec=f"{specs}:MaskPairsSpec", target=f"{own}.mask_pairs:build")
    digits = "registry_data.digits_specs"
    for task in ("classification", "detection", "segmentation"):
        spec = f"{digits}:Digits{task.capitalize()}Spec"
        register.dataset(f"digits_{task}", spec=spec, target=f"{own}.digits:build_{task}")
    register.command("data", target="registry_data.command:data", summary="Check a data set before training.")
    register.catalog("registry_data", "catalog")
    register.rules("registry_data", "rules")
