"""pydantic's own JSON Schema of spec classes, before documents' rules about null and `extends` are added."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from registry.schema.node import Schema, target
from registry.specs import Spec

#: Where a schema keeps which keys were renamed, until it is shaped.
RENAMED = "renamed"


class _Generator(GenerateJsonSchema):
    """Without titles made from names of fields, and without failing on what JSON cannot show."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: `Width Mult` says no more than `width_mult`."""
        return False

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """A type of a third party that has no JSON Schema accepts anything here; validation knows better."""
        return {}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """With the first paragraph of the docstring for a description."""
        made = super().model_schema(schema)
        spec_class: type[BaseModel] = schema["cls"]
        made["title"] = spec_class.__name__.removesuffix("Spec") or spec_class.__name__
        made.pop("description", None)
        if text := first_paragraph(spec_class):
            made["description"] = text
        if issubclass(spec_class, Spec) and spec_class.renamed_keys:
            made[RENAMED] = dict(spec_class.renamed_keys)
        return made


def first_paragraph(spec_class: type) -> str:
    """What the class's own docstring says before its first empty line, on one line."""
    text = inspect.cleandoc(spec_class.__doc__ or "")
    return " ".join(text.split("\n\n")[0].split())


class RawSchemas:
    """The schemas of some spec classes and of everything inside them, by pydantic's names for them."""

    def __init__(self, spec_classes: Iterable[type[BaseModel]]) -> None:
        inputs = [(spec_class, _VALIDATION) for spec_class in dict.fromkeys(spec_classes)]
        refs, whole = models_json_schema(inputs, schema_generator=_Generator)
        self._names = {spec_class: target(found) for (spec_class, _), found in refs.items()}
        self._schemas: Mapping[str, Schema] = whole.get("$defs", {})

    def name(self, spec_class: type[BaseModel]) -> str:
        """Under what name the schema of a class is found."""
        return self._names[spec_class]

    def __getitem__(self, name: str) -> Schema:
        return self._schemas[name]


_VALIDATION: Any = "validation"
