"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar

#: Class of the settings and module of the target, by type.
_SCHEMES = {
    "xnnpack": ("XnnpackSpec", "pt2e.xnnpack"),
    "x86": ("X86Spec", "pt2e.x86"),
    "qnnpack": ("QnnpackSpec", "eager.scheme"),
    "onnx": ("OnnxSpec", "onnx_runtime.scheme"),
    "openvino": ("OpenVINOSpec", "openvino_nncf.scheme"),
}


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The schemes, a document for each, the rules of their checks, and the verb `quantize`."""
    for name, (spec, module) in _SCHEMES.items():
        register.quantization(
            name, spec=f"registry_quantization.specs:{spec}", target=f"registry_quantization.{module}:quantize"
        )
    register.catalog("registry_quantization", "catalog")
    register.rules("registry_quantization", "rules")
    summary = "Make a model an integer one, and tell what that costs."
    register.command("quantize", target="registry_quantization.verb.command:quantize", summary=summary)
