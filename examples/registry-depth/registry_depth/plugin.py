"""What this distribution registers."""

from __future__ import annotations

import registry
from registry.host import Registrar


@registry.hookimpl
def registry_parts(register: Registrar) -> None:
    """The depth task, one head, one kind of data set, a rule, and the documents."""
    specs = "registry_depth.specs"
    register.task("depth", spec=f"{specs}:DepthSpec", target="registry_depth.task:DepthTask")
    register.head("depth_decoder", spec=f"{specs}:DepthDecoderSpec", target="registry_depth.decoder:build")
    register.dataset("depth_pairs", spec=f"{specs}:DepthPairsSpec", target="registry_depth.pairs:build")
    register.catalog("registry_depth", "catalog")
    register.rules("registry_depth", "rules")
