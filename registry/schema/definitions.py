"""From pydantic's schemas to what documents may say: null stands for a default, and an heir leaves keys out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry.schema.node import (
    Schema,
    any_of,
    bare,
    closed,
    described,
    nullable,
    ref,
    requirements,
    target,
    united,
)
from registry.schema.raw import RENAMED, RawSchemas

#: What the names of the variants for heirs end in.
HEIR = ":heir"
#: Where pydantic writes the bounds of a list that a validator has made a tuple of.
_BOUNDS = {"minLength": "minItems", "maxLength": "maxItems"}
_COMBINED = ("anyOf", "oneOf", "allOf")


class Definitions:
    """The definitions of one schema file, each made when it is first referred to.

    Settings come in two variants. Those of a whole document have every key that is needed; those of an heir are laid over
    its parents', and may leave keys out. Items of lists are whole in both, for lists are replaced.
    """

    def __init__(self, raw: RawSchemas) -> None:
        self.raw = raw
        self.made: dict[str, Schema] = {}
        self._demanding: dict[str, bool] = {}

    def add(self, name: str, schema: Schema) -> Schema:
        """Keeps a schema under a name, and returns a reference to it."""
        self.made[name] = schema
        return ref(name)

    def properties(self, name: str, *, heir: bool) -> Schema:
        """The keys of a spec class with what each may hold."""
        return self._properties(self.raw[name], heir)

    def renamed(self, name: str) -> dict[str, str]:
        """The keys that a spec class gave up, each with the one that took its place."""
        return _renamed(self.raw[name])

    def used_by(self, schema: Schema) -> dict[str, Schema]:
        """The definitions that a schema leads to, sorted by name."""
        found: set[str] = set()
        waiting = [schema]
        while waiting:
            new = {name for name in _references(waiting.pop()) if name not in found}
            found |= new
            waiting += [self.made[name] for name in new]
        return {name: self.made[name] for name in sorted(found)}

    def _referred(self, name: str, heir: bool) -> Schema:
        """The wanted variant of a spec class; where no key is needed, one serves as both."""
        heir = heir and self._demands(name)
        own_name = name + HEIR if heir else name
        if own_name not in self.made:
            self.made[own_name] = {}  # a class may hold itself
            self.made[own_name] = self._shaped(self.raw[name], heir)
        return ref(own_name)

    def _shaped(self, schema: Schema, heir: bool) -> Schema:
        if "$ref" in schema:
            return described(self._referred(target(schema), heir), schema)
        if all(isinstance(found, str) for found in schema.get("discriminator", {}).get("mapping", {"": None}).values()):
            return described(self._told_by_key(schema, heir), schema)
        shaped = {key: value for key, value in schema.items() if key != "discriminator"}
        if schema.get("type") == "array":
            shaped = {_BOUNDS.get(key, key): value for key, value in shaped.items()}
        for key in set(_COMBINED) & set(schema):
            shaped[key] = [self._shaped(branch, heir) for branch in schema[key]]
        if set(bare(shaped)) == {"anyOf"}:
            shaped = described(any_of(shaped["anyOf"]), shaped)
        if isinstance(schema.get("items"), dict):
            shaped["items"] = self._shaped(schema["items"], heir=False)
        if "prefixItems" in schema:
            shaped["prefixItems"] = [self._shaped(item, heir=False) for item in schema["prefixItems"]]
        if shaped.get("additionalProperties") is True:
            del shaped["additionalProperties"]  # says nothing, and only some releases of pydantic write it
        if isinstance(schema.get("additionalProperties"), dict):
            shaped["additionalProperties"] = nullable(self._shaped(schema["additionalProperties"], heir))
        if "properties" in schema:
            required = () if heir else schema.get("required", ())
            shaped = {key: value for key, value in shaped.items() if key not in ("required", RENAMED)}
            shaped |= {"properties": self._properties(schema, heir), **requirements(required, _renamed(schema))}
        return shaped

    def _properties(self, schema: Schema, heir: bool) -> Schema:
        """The keys of a mapping; null stands for the default of those that have one."""
        needed = schema.get("required", ())
        found = {
            key: self._shaped(value, heir) if key in needed else nullable(self._shaped(value, heir))
            for key, value in schema.get("properties", {}).items()
        }
        for old, rename in schema.get(RENAMED, {}).items():
            text = f"Now called `{rename.name}`; read until release {rename.until}."
            found[old] = {"description": text, "deprecated": True, **bare(found[rename.name])}
        return found

    def _told_by_key(self, schema: Schema, heir: bool) -> Schema:
        """One of several spec classes, which a key tells apart; an heir may leave that key to its parent."""
        key = schema["discriminator"]["propertyName"]
        members = {tag: target({"$ref": found}) for tag, found in schema["discriminator"]["mapping"].items()}
        written = [target(branch) for branch in schema["oneOf"]]
        tags = sorted(members, key=lambda tag: written.index(members[tag]))
        name = "-or-".join(dict.fromkeys(members[tag] for tag in tags)) + (HEIR if heir else "")
        if name in self.made:
            return ref(name)
        self.made[name] = {}
        choice = {**_shared_description([self.raw[members[tag]]["properties"][key] for tag in tags]), "enum": tags}
        branches = [
            {
                "if": {"properties": {key: {"const": tag}}, "required": [key]},
                "then": self._referred(members[tag], heir),
            }
            for tag in tags
        ]
        chosen: Schema = {"type": "object", "required": [key], "properties": {key: choice}, "allOf": branches}
        if heir:
            every = united([self.properties(members[tag], heir=True) for tag in tags])
            other = closed({**every, key: choice})
            chosen = {"type": "object", "if": {"required": [key]}, "then": chosen, "else": other}
        return self.add(name, chosen)

    def _demands(self, name: str) -> bool:
        """True if a spec class has a key, in itself or in a mapping inside, that a document must write."""
        if name not in self._demanding:
            self._demanding[name] = False  # until the rest has been looked at, where a class holds itself
            self._demanding[name] = self._needs(self.raw[name])
        return self._demanding[name]

    def _needs(self, schema: Schema) -> bool:
        if "$ref" in schema:
            return self._demands(target(schema))
        inside = [branch for key in _COMBINED for branch in schema.get(key, ())]
        inside += schema.get("properties", {}).values()
        if isinstance(schema.get("additionalProperties"), dict):
            inside.append(schema["additionalProperties"])
        return bool(schema.get("required")) or "discriminator" in schema or any(map(self._needs, inside))


def _renamed(schema: Schema) -> dict[str, str]:
    return {old: rename.name for old, rename in schema.get(RENAMED, {}).items()}


def _references(value: Any) -> Iterator[str]:
    """The names of every definition that is referred to inside."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield target(value)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _shared_description(schemas: list[Schema]) -> Schema:
    """The description that all of them have, if they share one."""
    found = {schema.get("description") for schema in schemas}
    return {"description": found.pop()} if len(found) == 1 and None not in found else {}
