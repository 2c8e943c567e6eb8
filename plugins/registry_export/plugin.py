"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar

#: Types, each with its spec class and its module.
_TARGETS = {
    "torch-export": ("TorchExportSpec", "programs"),
    "onnx": ("OnnxSpec", "onnx_files"),
    "openvino": ("OpenVINOSpec", "openvino_files"),
    "executorch": ("ExecuTorchSpec", "executorch_files"),
    "torchscript": ("TorchScriptSpec", "scripts"),
}


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The targets, a document for each, the rules of their checks, and the verb `export`."""
    for name, (spec, module) in _TARGETS.items():
        register.export(
            name,
            spec=f"registry_export.specs:{spec}",
            target=f"registry_export.{module}:export",
            load=f"registry_export.{module}:load",
        )
    register.catalog("registry_export", "catalog")
    register.rules("registry_export", "rules")
    summary = "Write a model as a file that another engine runs, verified against it."
    register.command("export", target="registry_export.command:export", summary=summary)
