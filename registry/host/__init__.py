"""The plugin host: finds plugins by entry point, loads each under its own guard, and knows what they registered."""

from registry.host.discovery import Candidate, discover
from registry.host.hookspecs import hookimpl, hookspec
from registry.host.host import PluginHost
from registry.host.records import CatalogRecord, CategoriesRecord, CommandRecord, PartRecord, PluginRecord, RulesRecord
from registry.host.registrar import Registrar

__all__ = [
    "Candidate",
    "CatalogRecord",
    "CategoriesRecord",
    "CommandRecord",
    "PartRecord",
    "PluginHost",
    "PluginRecord",
    "Registrar",
    "RulesRecord",
    "discover",
    "hookimpl",
    "hookspec",
]
