"""Whole documents, by kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from registry.catalog.catalog import Catalog
from registry.catalog.documents import FORMAT, KINDS, YAML_SUFFIXES, EnvelopeSpec
from registry.host import PluginHost
from registry.schema.definitions import HEIR, Definitions
from registry.schema.node import Schema, closed, described, nullable, ref
from registry.schema.parts import Parts
from registry.schema.raw import RawSchemas, first_paragraph
from registry.schema.types import part_types
from registry.specs import (
    PART_KINDS,
    BackboneSpec,
    DatasetSpec,
    ExportSpec,
    HeadSpec,
    ModelSpec,
    QuantizationSpec,
    RecipeSpec,
    TaskSpec,
    WeightsSpec,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NOTE = (
    "Made by `registry schema`. It cannot say which names are known or free, what parents bring along, what settings mean "
    "for one another, or that 1.0 is no whole number; `registry validate` says all of it."
)
_VERSION: Schema = {"description": "Version of the document format.", "const": FORMAT}
#: What no name ends in, whatever the case of its letters, for it would be read as a path.
_ENDS_LIKE_A_FILE = "|".join(
    "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else f"\\{letter}" for letter in suffix) + "$"
    for suffix in YAML_SUFFIXES
)
_ABOUT = {
    "model": first_paragraph(ModelSpec),
    **{
        base.kind: first_paragraph(base)
        for base in (BackboneSpec, HeadSpec, TaskSpec, DatasetSpec, RecipeSpec, QuantizationSpec, ExportSpec)
    },
}


def schema_of(host: PluginHost, catalog: Catalog, kind: str | None = None) -> Schema:
    """The JSON Schema of documents of a kind, or of any document, with every type that is installed.

    Args:
        catalog: whose names an editor shall offer.
        kind: one of `registry.catalog.KINDS`; None for all of them in one schema.
    """
    return _Documents(host, catalog).schema(kind)


class _Documents:
    """Puts the schema of one file together."""

    def __init__(self, host: PluginHost, catalog: Catalog) -> None:
        self._catalog = catalog
        types = part_types(host)
        spec_classes: list[type[BaseModel]] = [ModelSpec, EnvelopeSpec, WeightsSpec]
        self._raw = RawSchemas([*spec_classes, *(part.spec_class for part in types)])
        self._definitions = Definitions(self._raw)
        self._parts = Parts(types, self._definitions, catalog.names)

    def schema(self, kind: str | None) -> Schema:
        """The whole file."""
        body = self._any_kind() if kind is None else self._document(kind)
        title = "Document of Vision Registry" if kind is None else f"{kind} of Vision Registry"
        definitions = self._definitions.used_by(body)
        return {"$schema": DIALECT, "$comment": _NOTE, "title": title, **body, "$defs": definitions}

    def _any_kind(self) -> Schema:
        choices = [{"const": kind, "description": _ABOUT[kind]} for kind in KINDS]
        branches = [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": self._definitions.add(f"{kind}:document", self._document(kind)),
            }
            for kind in KINDS
        ]
        return {
            "type": "object",
            "required": ["kind", "name"],
            "properties": {"kind": {"description": "What the document describes.", "anyOf": choices}},
            "allOf": branches,
            "examples": [example for kind in KINDS for example in self._examples(kind)],
        }

    def _document(self, kind: str) -> Schema:
        """A document of one kind: a whole one, or one that extends others."""
        envelope = self._envelope(kind)
        heirs = {**envelope, "extends": self._parts.extends(kind)}
        needed = ["kind", "name"]
        if kind == "model":
            whole, heir = self._model(envelope, heir=False), self._model(heirs, heir=True)
        else:
            whole = self._parts.whole(kind, envelope, needed, ":document")
            heir = self._parts.partial(kind, heirs, needed, ":document" + HEIR)
        examples = self._examples(kind)
        return {
            "description": _ABOUT[kind],
            "type": "object",
            "required": needed,
            "properties": {key: {} for key in heirs},
            "if": {"required": ["extends"]},
            "then": self._definitions.add(f"{kind}:document{HEIR}", heir),
            "else": self._definitions.add(f"{kind}:document:whole", whole),
            **({"examples": examples} if examples else {}),
        }

    def _envelope(self, kind: str) -> Schema:
        """The keys that are about the document itself; its version, kind and name cannot be null."""
        spec_class = ModelSpec if kind == "model" else EnvelopeSpec
        found = self._definitions.properties(self._raw.name(spec_class), heir=False)
        shared = {key: found[key] for key in EnvelopeSpec.model_fields}
        own = {
            **shared,
            "spec": _VERSION,
            "kind": {"description": "What the document describes.", "const": kind},
            "name": {**shared["name"], "not": {"pattern": _ENDS_LIKE_A_FILE}},
        }
        self._definitions.add(f"{kind}:envelope", {"properties": own})
        return {key: ref(f"{kind}:envelope", key) for key in own}

    def _model(self, envelope: Schema, *, heir: bool) -> Schema:
        """A model's document; the mappings of an heir are laid over its parents'."""
        raw = self._raw[self._raw.name(ModelSpec)]
        properties = self._definitions.properties(self._raw.name(ModelSpec), heir=heir)
        for kind in PART_KINDS:
            if kind in properties:
                position = described(self._parts.position(kind, heir=heir), raw["properties"][kind])
                properties[kind] = position if kind in raw["required"] else nullable(position)
        suffix = HEIR if heir else ""
        published = self._definitions.add(f"model:weights{suffix}", self._weights(("task", "backbone"), heir))
        start = self._definitions.add(f"model:backbone_weights{suffix}", self._weights(("backbone",), heir))
        properties["weights"]["additionalProperties"] = nullable(published)
        properties["backbone_weights"] = described(nullable(start), raw["properties"]["backbone_weights"])
        needed = [] if heir else [key for key in raw["required"] if key != "name"]
        rest = {key: value for key, value in properties.items() if key not in envelope}
        renamed = self._definitions.renamed(self._raw.name(ModelSpec))
        return closed({**envelope, **rest}, ["kind", "name", *needed], renamed)

    def _weights(self, parts: Iterable[str], heir: bool) -> Schema:
        """A set of weights, with the settings of those parts of the model that travel with it."""
        name = self._raw.name(WeightsSpec)
        properties = self._definitions.properties(name, heir=heir)
        for kind in parts:
            properties[kind] = described(nullable(self._parts.overlay(kind)), self._raw[name]["properties"][kind])
        required = () if heir else self._raw[name]["required"]
        renamed = self._definitions.renamed(name)
        return closed(properties, required, renamed, description=first_paragraph(WeightsSpec))

    def _examples(self, kind: str) -> list[dict[str, Any]]:
        """A document that extends the first one of the catalog, if there is any."""
        return [{"kind": kind, "name": f"my_{kind}", "extends": name} for name in self._catalog.names(kind)[:1]]
