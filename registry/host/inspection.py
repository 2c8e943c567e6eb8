"""What is wrong with plugins that loaded: specs that cannot be used, targets that are not there, types that two provide."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder

from registry.errors import PluginError
from registry.host.host import PluginHost
from registry.host.names import choices
from registry.host.records import PartRecord, PluginRecord


def faults(host: PluginHost, plugin: PluginRecord) -> list[str]:
    """What is wrong with a plugin and its parts, one sentence each. Imports its specs, and no target."""
    found = [text for text in (plugin.error, plugin.warning) if text is not None]
    for part in plugin.contribution.parts:
        found += _of_part(host, part)
    for command in plugin.contribution.commands:
        others = [other for other in host.commands if other.name == command.name and other.origin != command.origin]
        if others:
            told = ", ".join(str(other.origin) for other in others)
            found.append(f"the verb `{command.name}` is also provided by {told}; the first of them is run")
    return found


def _of_part(host: PluginHost, part: PartRecord) -> Iterator[str]:
    try:
        host.spec_class_of(part)
    except PluginError as error:
        yield str(error)
    for label, path in (("target", part.target), ("init", part.init)):
        if isinstance(path, str) and not _is_there(path.partition(":")[0]):
            yield f"the {part.kind} `{part.type}` has the {label} `{path}`, and there is no such module"
    others = [other for other in host.parts if (other.kind, other.type) == (part.kind, part.type) and other != part]
    if others:
        told = ", ".join(str(other.origin) for other in others)
        hint = choices([part.origin, *(other.origin for other in others)], part.type)
        yield f"the {part.kind} `{part.type}` is also provided by {told}; {hint}"


def _is_there(module: str) -> bool:
    """Whether a module can be found; nothing is imported, its packages neither."""
    places: list[str] | None = None
    found: ModuleSpec | None = None
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        name = ".".join(names[:depth])
        found = importlib.util.find_spec(name) if places is None else PathFinder.find_spec(name, places)
        if found is None:
            return False
        places = list(found.submodule_search_locations or ())
    return found is not None
