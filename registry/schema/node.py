"""Small pieces that schemas are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: A JSON Schema, or a part of one, as plain data.
Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
#: Keys that describe a place and say nothing about its value.
_ABOUT = ("title", "description", "default", "examples", "deprecated")


_DEFINITIONS = "#/$defs/"


def ref(name: str, key: str | None = None) -> Schema:
    """A reference to a definition of the same file, or to what one of its keys may hold."""
    return {"$ref": _DEFINITIONS + name + ("" if key is None else f"/properties/{key}")}


def target(schema: Mapping[str, Any]) -> str:
    """The name of the definition that a reference leads to or into."""
    return str(schema["$ref"]).removeprefix(_DEFINITIONS).partition("/")[0]


def described(schema: Schema, source: Mapping[str, Any]) -> Schema:
    """The schema with what another says about its place: title, description, default and examples."""
    found = {key: source[key] for key in _ABOUT if key in source}
    return {**found, **{key: value for key, value in schema.items() if key not in found}}


def bare(schema: Schema) -> Schema:
    """The schema without title, description, default and examples."""
    return {key: value for key, value in schema.items() if key not in _ABOUT}


def about(properties: Schema) -> Schema:
    """The same keys with their descriptions alone, for an editor to offer where other rules tell what they may hold."""
    return {
        key: {"description": schema["description"]} if "description" in schema else {}
        for key, schema in properties.items()
    }


def closed(
    properties: Schema, required: Iterable[str] = (), renamed: Mapping[str, str] | None = None, **about: str
) -> Schema:
    """A mapping of these keys and no others.

    Args:
        renamed: keys that were given up, each with the one that took its place.
    """
    schema: Schema = {**about, "type": "object", "properties": properties}
    return {**schema, **requirements(required, renamed or {}), "additionalProperties": False}


def requirements(required: Iterable[str], renamed: Mapping[str, str]) -> Schema:
    """The keys that must be there, each by its present name or by one that it gave up, and never by both."""
    needed = list(required)
    rules: list[Schema] = [{"not": {"required": [old, new]}} for old, new in renamed.items()]
    for key in [key for key in needed if key in renamed.values()]:
        former = [old for old, new in renamed.items() if new == key]
        rules.append({"anyOf": [{"required": [name]} for name in (key, *former)]})
    by_one_name = [key for key in needed if key not in renamed.values()]
    return {**({"required": by_one_name} if by_one_name else {}), **({"allOf": rules} if rules else {})}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """What one of the schemas accepts: each once, alternatives of alternatives in one list, null at the end."""
    found: list[Schema] = []
    for schema in schemas:
        for branch in schema["anyOf"] if set(schema) == {"anyOf"} else [schema]:
            if branch not in found:
                found.append(branch)
    others = [branch for branch in found if branch != NULL]
    whole = others[0] if len(others) == 1 else {"anyOf": others}
    return nullable(whole) if NULL in found and others else whole if others else dict(NULL)


def nullable(schema: Schema) -> Schema:
    """The schema, null allowed beside what it accepts."""
    rules = bare(schema)
    if _accepts_null(rules):
        return schema
    if set(rules) == {"anyOf"}:
        return {**schema, "anyOf": [*schema["anyOf"], NULL]}
    if set(rules) <= {"const", "type"} and "const" in rules:
        return {**{key: value for key, value in schema.items() if key not in rules}, "enum": [rules["const"], None]}
    if isinstance(rules.get("type"), str) and not {"allOf", "anyOf", "oneOf", "if", "not", "const"} & set(rules):
        enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, "type": [schema["type"], "null"], **enum}
    return described({"anyOf": [rules, NULL]}, schema)


def _accepts_null(rules: Schema) -> bool:
    """True if these rules alone say that null may stand there; of a reference that cannot be told."""
    if not rules or rules == NULL:
        return True
    if set(rules) == {"anyOf"}:
        return any(_accepts_null(bare(branch)) for branch in rules["anyOf"])
    return isinstance(rules.get("type"), list) and "null" in rules["type"]


def united(mappings: Sequence[Schema]) -> Schema:
    """The properties of several mappings; a key of many may hold what it may hold in any of them."""
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return {name: _either([mapping[name] for mapping in mappings if name in mapping]) for name in names}


def _either(schemas: Sequence[Schema]) -> Schema:
    """One of several properties: their descriptions one after the other, the default if they share it."""
    descriptions = list(dict.fromkeys(s["description"] for s in schemas if "description" in s))
    found: Schema = {"description": " / ".join(descriptions)} if descriptions else {}
    if all("default" in s and s["default"] == schemas[0].get("default") for s in schemas):
        found["default"] = schemas[0]["default"]
    return {**found, **any_of(bare(schema) for schema in schemas)}
