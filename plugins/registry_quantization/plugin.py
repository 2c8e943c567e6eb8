"""What this plugin registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The schemes, a document for each, and the rules of their checks."""
    for name, spec in {"xnnpack": "XnnpackSpec", "x86": "X86Spec"}.items():
        register.quantization(
            name, spec=f"registry_quantization.specs:{spec}", target=f"registry_quantization.{name}:quantize"
        )
    register.catalog("registry_quantization", "catalog")
    register.rules("registry_quantization", "rules")
