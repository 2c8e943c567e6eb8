"""The types of parts that documents may name, and how."""

from __future__ import annotations

from dataclasses import dataclass

from registry.errors import RegistryError
from registry.host import PluginHost
from registry.schema.raw import first_paragraph
from registry.specs import PartSpec


@dataclass(frozen=True)
class PartType:
    """A registered type whose spec class can be used.

    Attributes:
        bare: the type itself.
        name: what documents call it; `distribution/type` where several distributions provide the type.
        former: types that it gave up and that documents may still name, each with the release that reads it no longer.
        pattern: regular expression of every name that documents may call it by.
        label: what its definitions are called after.
        description: what its spec class says of itself.
    """

    kind: str
    bare: str
    name: str
    former: tuple[tuple[str, str], ...]
    pattern: str
    label: str
    description: str
    spec_class: type[PartSpec]


def part_types(host: PluginHost) -> list[PartType]:
    """Every type that can be used, in the order of the plugins; validation refuses the others as well."""
    found: list[PartType] = []
    for record in dict.fromkeys(host.parts):
        kind, bare = record.kind, record.type
        distribution = record.origin.distribution
        is_shared = len({part for part in host.parts if (part.kind, part.type) == (kind, bare)}) > 1
        name = f"{distribution}/{bare}" if is_shared else bare
        try:
            spec_class = host.spec_class(kind, name)
        except RegistryError:
            continue
        former = tuple((old, until) for old, until in record.renames if host.former_type(kind, old) is not None)
        names = "|".join(_escaped(known) for known in (bare, *(old for old, _ in former)))
        before = f"{_escaped(distribution)}/" if is_shared else "([^/]+/)?"
        label = f"{kind}.{distribution}:{bare}" if is_shared else f"{kind}.{bare}"
        pattern = f"^{before}({names})$" if former else f"^{before}{names}$"
        text = first_paragraph(spec_class)
        found.append(PartType(kind, bare, name, former, pattern, label, text, spec_class))
    return found


def _escaped(name: str) -> str:
    """A name of letters, digits, `_`, `-` and `.` as a regular expression in any dialect."""
    return name.replace(".", r"\.")
