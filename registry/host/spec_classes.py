"""Base classes of specs by kind of part, and what every class behind a registration must promise."""

from __future__ import annotations

from typing import Any, get_args

from registry.errors import PluginError
from registry.host.records import PartRecord
from registry.specs import (
    BackboneSpec,
    DatasetSpec,
    ExportSpec,
    HeadSpec,
    PartSpec,
    QuantizationSpec,
    RecipeSpec,
    TaskSpec,
)

BASES: dict[str, type[PartSpec]] = {
    base.kind: base
    for base in (BackboneSpec, HeadSpec, TaskSpec, DatasetSpec, RecipeSpec, QuantizationSpec, ExportSpec)
}


def checked(record: PartRecord, found: Any) -> type[PartSpec]:
    """The class behind a part's spec.

    Raises:
        PluginError: it is no spec of that kind, allows unknown keys, or has another type.
    """
    base = BASES[record.kind]
    label = f"{record.origin} registers `{record.spec_name}` as the {record.kind} `{record.type}`"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{label}, which is not a subclass of {base.__name__}")
    if found.model_config.get("extra") != "forbid":
        raise PluginError(f"{label}, which does not forbid unknown keys; remove `extra` from its model_config")
    if record.type not in get_args(found.model_fields["type"].annotation):
        raise PluginError(f'{label}, which does not say so; write: type: Literal["{record.type}"] = "{record.type}"')
    return found
