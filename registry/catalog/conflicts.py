"""Names that documents of several plugins have."""

from __future__ import annotations

from registry.catalog.catalog import Catalog
from registry.host.names import choices
from registry.host.records import Origin


def conflicts(catalog: Catalog, origin: Origin) -> list[str]:
    """The names of a plugin's documents that others have too, a sentence each: who they are, and what to write instead."""
    found: list[str] = []
    for listed in catalog.listed:
        for name in listed.names if listed.origin == origin else ():
            others = [other for other in catalog.providers(listed.kind, name) if not other.is_same(listed)]
            if others:
                told = ", ".join(f"{other.origin} in {other.file}" for other in others)
                hint = choices([one.origin for one in (listed, *others) if one.origin], name)
                found.append(f"the {listed.kind} document `{name}` is also one of {told}; {hint}")
    return found
