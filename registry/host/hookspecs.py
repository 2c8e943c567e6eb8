"""The hooks a plugin can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from registry.host.registrar import Registrar

hookspec: Final = pluggy.HookspecMarker("registry")
hookimpl: Final = pluggy.HookimplMarker("registry")


@hookspec
def registry_parts(register: Registrar) -> None:
    """Say what the plugin brings. Called once; must not import torch.

    Specs and targets are given as strings and imported when they are needed::

        @registry.hookimpl
        def registry_parts(register):
            register.head("my_head", spec="my_plugin.specs:MyHeadSpec", target="my_plugin.head:build")
            register.catalog("my_plugin", "catalog")
    """
