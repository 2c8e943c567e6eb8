"""The schema and validation agree on every document, as far as JSON Schema can tell."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry.catalog import KINDS
from registry.diagnostics import Diagnostic, errors
from registry.errors import RegistryError
from registry.registry import Registry
from registry.schema import schema_of
from registry.source import Mapping, plain
from registry.specs import PART_KINDS

Path = tuple[str | int, ...]

#: What JSON Schema cannot say, by rule, wherever it is told.
INEXPRESSIBLE = {
    "REG001": "whether a path leads to a file",
    "REG108": "whether a document has a name",
    "REG109": "whether documents extend one another in a circle",
    "REG110": "whether a name is free",
    "REG111": "whether a path leaves its folder",
    "REG201": "whether settings of a part contradict each other",
    "REG202": "whether the backbone yields a feature map",
    "REG203": "whether parts serve the same task",
    "REG204": "whether class counts agree",
    "REG205": "whether there is a list of categories",
    "REG206": "whether there are weights of a name",
    "REG207": "whether levels have one stride",
}
#: What it cannot say of settings that are laid over others: those of heirs, and those that travel with weights.
OF_LAYERS = {"REG102": "whether a key that is needed stands below"}


@functools.cache
def built_in() -> Registry:
    """The registry of the built-in plugins alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRY_PLUGINS", "")
        return Registry()


@functools.cache
def schema(kind: str | None = None) -> Draft202012Validator:
    return Draft202012Validator(schema_of(built_in().host, built_in().library.catalog, kind))


def validated(document: Any) -> list[Diagnostic]:
    """The errors that validation tells of a document."""
    return errors(built_in().library.validate_text(json.dumps(document).encode(), "document.json"))


def accepted(document: Any) -> bool:
    """Whether the schema accepts a document; that of its kind and that of all kinds must not differ."""
    found = bool(schema().is_valid(document))
    kind = document.get("kind") if isinstance(document, dict) else None
    if isinstance(kind, str) and kind in KINDS:
        assert bool(schema(kind).is_valid(document)) == found, kind
    return found


def resolved(document: Any) -> Any:
    """The document with all that it inherits; itself, where that cannot be told."""
    library = built_in().library
    try:
        kind = document["kind"]
        return plain(library.resolve(library.from_text(json.dumps(document), "document.json", kind)))
    except (RegistryError, KeyError, TypeError):
        return document


# ---- documents to start from -----------------------------------------------------------------------------------------


@functools.cache
def starts() -> list[dict[str, Any]]:
    """Every shipped document as it is written, with all that it inherits, and as its own heir; under a free name."""
    found = []
    for document in built_in().library.catalog.documents:
        own = {key: value for key, value in plain(document.node).items() if key not in ("aliases", "renames")}
        whole = plain(built_in().library.resolve(document))
        whole = {key: value for key, value in whole.items() if key not in ("aliases", "renames")}
        heir = {**whole, "extends": document.name}
        found += [{**form, "name": "mine"} for form in (own, whole, heir)]
    return found


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything inside a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


@functools.cache
def known_keys() -> list[str]:
    """Every key of some shipped document or of some type of part."""
    keys = {step for start in starts() for path in places(start) for step in path if isinstance(step, str)}
    for part in built_in().host.parts:
        keys |= set(built_in().host.spec_class(part.kind, part.type).model_fields)
    return sorted(keys)


# ---- mistakes --------------------------------------------------------------------------------------------------------

#: No fraction here equals a whole number: JSON Schema holds 1.0 for 1, validation does not (REG103, REG105).
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, -1, 7, 64, 1000, 10**9, 0.5, -0.5, 1.5, 99.5),
    *("", "text", "auto", "group", "same", "relu", "always", "mobilenet_v3", "mobilenet_v3_small", "resnet50"),
    *("vision-registry/mobilenet_v3", "https://example.org", "0123456789abcdef", "REG207", "x" * 201, "imagenet1k"),
    *([], [1], ["text"], [None], [0.5], [[1]], [["x"]], [{}], ["mobilenet_v3_small", "mobilenet_v3_large"]),
    *({}, {"kind": "group"}, {"kind": "none"}, {"eps": 0.5}, {"groups": 4}, {"kind": None}, {"type": None}),
    *({"extends": "mobilenet_v3_small"}, {"extends": []}, {"extends": None}, {"extends": ["mobilenet_v3_large"]}),
    *({"type": "mobilenet_v3"}, {"type": "resnet"}, {"type": "resnet", "layers": [1]}, {"type": 1}, {"num_classes": 3}),
    *({"type": "nothing"}, {"type": "vision-registry/resnet"}, {"type": "resnet", "extends": "resnet18"}),
    *({"V1": None}, {"V1": {}}, {"V1": {"source": "./x.pth"}}, {"V1": {"source": "./x.pth", "backbone": {}}}),
    *({"source": "./x.pth", "task": {"top_k": 2}}, {"source": "./x.pth", "backbone": {"padding": "same", "norm": None}}),
]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A shipped document in some form with some keys left out, and up to three mistakes in it."""
    document = copy.deepcopy(draw(st.sampled_from(starts())))
    for key in draw(st.lists(st.sampled_from(sorted(document)), max_size=6)):
        if key not in ("kind", "name", "extends") and "extends" in document:
            document.pop(key, None)
    for _ in range(draw(st.integers(0, 3))):
        mutate(draw, document)
    return document


def mutate(draw: st.DrawFn, document: Any) -> None:
    """Drops, adds or changes something."""
    everywhere = list(places(document))
    path = draw(st.sampled_from(everywhere))
    value = at(document, path)
    change = draw(st.sampled_from(["drop", "add", "change", "change", "null"]))
    if change == "add" and isinstance(value, dict):
        name = draw(st.sampled_from([*known_keys(), "unknown", "extends", "type", "kind"]))
        added = draw(st.sampled_from(VALUES))
        value[name] = copy.deepcopy(added)
    elif change == "add" and isinstance(value, list):
        value.append(copy.deepcopy(draw(st.sampled_from(VALUES))))
    elif path:
        parent = at(document, path[:-1])
        if change == "drop":
            del parent[path[-1]]
        else:
            parent[path[-1]] = None if change == "null" else copy.deepcopy(draw(st.sampled_from(VALUES)))


# ---- where they may differ -------------------------------------------------------------------------------------------


def is_inexpressible(diagnostic: Diagnostic, document: Any) -> bool:
    """Whether JSON Schema cannot say what an error is about."""
    if diagnostic.rule in INEXPRESSIBLE:
        return True
    if diagnostic.rule == "REG105" and diagnostic.message.startswith("there is no rule "):
        return True  # ids of rules, which are not the schema's business
    return diagnostic.rule in OF_LAYERS and any(is_layer(path) for path in places(document))


def is_layer(path: Path) -> bool:
    """Whether the path leads to what makes a layer of the mapping around it."""
    return path[-1:] == ("extends",) or (
        path[:1] in (("weights",), ("backbone_weights",)) and bool({"task", "backbone"} & set(path))
    )


def with_types(document: Any) -> Iterator[Any]:
    """The document with the types written into it that it inherits, and with each set of settings that travels with
    weights in the place of the part that it changes: the schema does not know types that are written elsewhere.
    """
    whole = resolved(document)
    if isinstance(document, dict):
        yield told(document, whole)
        for place in [("weights", name) for name in document.get("weights") or {}] + [("backbone_weights",)]:
            for kind in ("task", "backbone"):
                overlay = look(document, (*place, kind))
                part = look(whole, (kind,))
                if isinstance(overlay, dict) and isinstance(part, dict):
                    yield {**told(document, whole), kind: {"extends": "x", **told(overlay, part)}}
                    if overlay.get("type") not in (None, part.get("type")):
                        yield None


def told(document: dict[str, Any], whole: Any) -> dict[str, Any]:
    """The mapping with `type` and `kind` of all mappings in it, as they are when everything is inherited."""
    whole = whole if isinstance(whole, dict) else {}
    found = {key: told(value, whole.get(key)) if isinstance(value, dict) else value for key, value in document.items()}
    keys = ("type", "kind") if set(whole) & {"type", "kind"} else ()
    return {**{key: whole[key] for key in keys if key in whole}, **found}


def without_unknown_nulls(document: Any) -> Any:
    """The document without keys that are unknown and null: validation drops what is null before it asks for the key's name."""
    found = copy.deepcopy(document)
    for path in [path for path in places(document) if path and isinstance(path[-1], str)]:
        if at(document, path) is None:
            changed = copy.deepcopy(document)
            at(changed, path[:-1])[path[-1]] = "something"
            if any(d.message.startswith(f"unknown key `{path[-1]}`") for d in validated(changed)):
                del at(found, path[:-1])[path[-1]]
    return found


def look(document: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(documents())
def test_the_schema_and_validation_agree(document: Any) -> None:
    agree(document)


def agree(document: Any) -> None:
    found = validated(document)
    if not accepted(document):
        if not found and accepted(without_unknown_nulls(document)):
            return
        first = next(iter(schema().iter_errors(document)))
        assert found, f"only the schema refuses {json.dumps(document)}: {first.json_path}: {first.message}"
        return
    told_by_schema = [d for d in found if not is_inexpressible(d, document)]
    if told_by_schema and not any(not accepted(other) for other in with_types(document)):
        pytest.fail(f"only validation refuses {json.dumps(document)}: {told_by_schema[0]}")
