"""Which plugins a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.errors import RegistryError, UnknownNameError
from registry.host import PluginRecord
from registry.host.discovery import normal_name
from registry.suggest import did_you_mean

if TYPE_CHECKING:
    from registry.registry import Registry


def chosen(registry: Registry, name: str) -> list[PluginRecord]:
    """The loaded plugins that a name means.

    Raises:
        UnknownNameError: none has that name.
        RegistryError: it is there and not loaded.
    """
    found = [
        record
        for record in registry.plugins
        for origin in (record.origin,)
        if name in (origin.plugin, f"{origin.distribution}/{origin.plugin}") or normal_name(name) == origin.distribution
    ]
    if not found:
        known = {name for r in registry.plugins for name in (r.origin.plugin, r.origin.distribution)}
        hint = did_you_mean(name, known)
        raise UnknownNameError(f"no plugin or distribution is called `{name}`" + (f"; {hint}" if hint else ""))
    for record in found:
        if record.state == "failed":
            raise RegistryError(f"the plugin `{record.origin.plugin}` cannot be checked, as it failed: {record.error}")
        if record.state == "disabled":
            raise RegistryError(
                f"the plugin `{record.origin.plugin}` is disabled; see REGISTRY_PLUGINS and REGISTRY_DISABLED_PLUGINS"
            )
    return found
