"""Base classes of specs by kind of part, and what every class behind a registration must promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

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
    Rename,
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
    field = found.model_fields.get("type")
    if field is None or record.type not in get_args(field.annotation):
        raise PluginError(f'{label}, which does not say so; write: type: Literal["{record.type}"] = "{record.type}"')
    renamed: Any = found.renamed_keys
    if not isinstance(renamed, dict) or not all(isinstance(rename, Rename) for rename in renamed.values()):
        example = '{"old": Rename("new", until="2.0")}'
        raise PluginError(f"{label}, whose `renamed_keys` are of another form; write: renamed_keys = {example}")
    loose = next((model for model in _models(found) if model.model_config.get("extra") != "forbid"), None)
    if loose is not None:
        hint = "derive it from registry.specs.Spec"
        raise PluginError(f"{label}, whose settings of the class {loose.__name__} allow unknown keys; {hint}")
    return found


def _models(found: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every class of settings below a spec class."""
    seen: set[Any] = {found}
    waiting: list[Any] = [field.annotation for field in found.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        waiting += [argument for argument in get_args(annotation) if not isinstance(argument, (str, int))]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
            seen.add(annotation)
            yield annotation
            waiting += [field.annotation for field in annotation.model_fields.values()]
