"""What the tiny plugin registers."""

from __future__ import annotations

import registry


@registry.hookimpl
def registry_parts(register):
    """A part of every kind, and a folder of documents."""
    register.task("tiny_task", spec="tiny.specs:TinyTaskSpec", target="tiny.parts:TinyTask")
    register.backbone("tiny_backbone", spec="tiny.specs:TinyBackboneSpec", target="tiny.parts:backbone")
    register.head("tiny_head", spec="tiny.specs:TinyHeadSpec", target="tiny.parts:head")
    register.dataset("tiny_dataset", spec="tiny.specs:TinyDatasetSpec", target="tiny.parts:Colours")
    register.recipe("tiny_recipe", spec="tiny.specs:TinyRecipeSpec")
    register.quantization("tiny_quantization", spec="tiny.specs:TinyQuantizationSpec", target="tiny.parts:quantize")
    register.export("tiny_export", spec="tiny.specs:TinyExportSpec", target="tiny.parts:export")
    register.catalog("tiny", "catalog")
