"""The schema and validation agree on every document, as far as JSON Schema can tell."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Sequence
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
from registry.source import plain
from registry.specs import ModelSpec

Path = tuple[str | int, ...]

#: What JSON Schema cannot say, by rule, wherever it is told.
INEXPRESSIBLE = {
    "REG001": "whether a path leads to a file",
    "REG108": "whether a document has a name",
    "REG109": "whether documents extend one another in a circle",
    "REG110": "whether a name is free",
    "REG111": "whether a path leaves its folder",
    "REG2..": "what settings mean for one another, all rules of the plugins included",
    "REG4..": "what settings of recipes and data sets mean for one another",
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


def validated(document: Any) -> Sequence[Diagnostic]:
    """The errors that validation tells of a document."""
    return errors(built_in().library.validate_text(json.dumps(document).encode(), "document.json"))


def accepted(document: Any) -> bool:
    """Whether the schema of its kind accepts a document; where it has no kind, that of any document."""
    kind = document.get("kind") if isinstance(document, dict) else None
    return bool(schema(kind if isinstance(kind, str) and kind in KINDS else None).is_valid(document))


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
    """Every shipped document as it is written, with all that it inherits, with every default, and as heirs of themselves;
    under a free name.
    """
    found = []
    library, host = built_in().library, built_in().host
    for document in library.catalog.documents:
        root = library.resolve(document)
        spec, _ = library.check(document, root)
        defaults = host.dump(spec) if isinstance(spec, ModelSpec) else spec.model_dump(mode="json")
        forms: list[dict[str, Any]] = [plain(document.node), plain(root), {**plain(root), **defaults}]
        forms += [{**form, "extends": document.name} for form in forms[1:]]
        for form in forms:
            kept = {key: value for key, value in form.items() if key not in ("aliases", "renames")}
            found.append({**kept, "kind": document.kind, "name": "mine"})
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
    *(
        "vision-registry/mobilenet_v3",
        "https://example.org",
        "0123456789abcdef",
        "REG207",
        "mine.JSON",
        "hf://a/b@v1/c/d.pth",
        "hf://a/../c.pth",
        "torchvision:A.B",
        "x" * 201,
        "imagenet1k",
    ),
    *([], [1], ["text"], [None], [0.5], [[1]], [["x"]], [{}], ["mobilenet_v3_small", "mobilenet_v3_large"]),
    *({}, {"kind": "group"}, {"kind": "none"}, {"eps": 0.5}, {"groups": 4}, {"kind": None}, {"type": None}),
    *({"extends": "mobilenet_v3_small"}, {"extends": []}, {"extends": None}, {"extends": ["mobilenet_v3_large"]}),
    *({"type": "mobilenet_v3"}, {"type": "resnet"}, {"type": "resnet", "layers": [1]}, {"type": 1}, {"num_classes": 3}),
    *({"type": "nothing"}, {"type": "vision-registry/resnet"}, {"type": "resnet", "extends": "resnet18"}),
    *({"V1": None}, {"V1": {}}, {"V1": {"source": "./x.pth"}}, {"V1": {"source": "./x.pth", "backbone": {}}}),
    *(
        {"source": "./x.pth", "task": {"top_k": 2}},
        {"source": "./x.pth", "backbone": {"padding": "same", "norm": None}},
    ),
]


#: Values at the edges of what a value of the same kind may be.
NEAR: list[tuple[type, list[Any]]] = [
    (bool, [0, 1, "true"]),
    (int, [0, -1, 0.5, True, 10**9, "1"]),
    (float, [0, -1, 1, 2, 10**9, False, "0.5"]),
    (str, ["", "text", "x" * 201, 1, ["text"], "vision-registry/text"]),
    (list, [[], {}, [None], "text", [[]]]),
    (dict, [{}, [], "text", {"kind": "batch"}, {"type": "resnet"}]),
]


def near(value: Any) -> list[Any]:
    return next((values for kind, values in NEAR if isinstance(value, kind)), [None])


def row_like(path: Path) -> Path:
    """The path with all indices alike: what is said of one row of a table holds for the others."""
    return tuple(step if isinstance(step, str) else 0 for step in path)


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A shipped document in some form with some keys left out, and up to three mistakes in it."""
    document = copy.deepcopy(draw(st.sampled_from(starts())))
    for key in draw(st.lists(st.sampled_from(sorted(document)), max_size=6)):
        if key not in ("kind", "name", "extends") and "extends" in document:
            document.pop(key, None)
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2, 3]))):
        mutate(draw, document)
    return document


def mutate(draw: st.DrawFn, document: Any) -> None:
    """Drops, adds or changes something; any key as likely as the others, however many rows have it."""
    by_keys: dict[Path, list[Path]] = {}
    for path in places(document):
        by_keys.setdefault(row_like(path), []).append(path)
    path = draw(st.sampled_from(draw(st.sampled_from(list(by_keys.values())))))
    value = at(document, path)
    change = draw(st.sampled_from(["drop", "add", "near", "near", "other", "null"]))
    if change == "add" and isinstance(value, dict):
        name = draw(st.sampled_from([*known_keys(), "unknown", "extends", "type", "kind"]))
        value[name] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    elif change == "add" and isinstance(value, list):
        value.append(copy.deepcopy(draw(st.sampled_from([*value, *VALUES]))))
    elif path:
        parent = at(document, path[:-1])
        choices = {"null": [None], "near": near(value)}.get(change, VALUES)
        if change == "drop":
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(choices)))


# ---- where they may differ -------------------------------------------------------------------------------------------


def is_inexpressible(diagnostic: Diagnostic, document: Any) -> bool:
    """Whether JSON Schema cannot say what an error is about."""
    if diagnostic.rule in INEXPRESSIBLE or diagnostic.rule[:4] + ".." in INEXPRESSIBLE:
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


def look(document: Any, path: Path) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(documents())
def test_the_schema_and_validation_agree(document: Any) -> None:
    agree(document)
    assert schema().is_valid(document) == accepted(document)


def single_mistakes() -> Iterator[Any]:
    """Each key of each type of part with each value at the edge, null, left out, and with an unknown key inside."""
    seen: set[Any] = set()
    for start in sorted(starts(), key=lambda start: len(json.dumps(start))):
        for path in places(start):
            part = look(start, path[:1]) if start["kind"] == "model" and path else start
            what = part.get("type") if isinstance(part, dict) else None
            value = at(start, path)
            place = (start["kind"], "extends" in start, what, row_like(path), type(value))
            if not path or place in seen or path[0] == "references":
                continue
            seen.add(place)
            for other in [*near(value), None]:
                changed = copy.deepcopy(start)
                at(changed, path[:-1])[path[-1]] = copy.deepcopy(other)
                yield changed
            changed = copy.deepcopy(start)
            del at(changed, path[:-1])[path[-1]]
            yield changed
            if isinstance(value, dict):
                changed = copy.deepcopy(start)
                at(changed, path)["unknown"] = 1
                yield changed


@pytest.mark.slow
def test_the_schema_and_validation_agree_on_every_single_mistake() -> None:
    for document in single_mistakes():
        agree(document)


def agree(document: Any) -> None:
    """Fails where one refuses what the other accepts, and JSON Schema could have told."""
    found = validated(document)
    if not accepted(document):
        first = next(iter(schema().iter_errors(document)))
        assert found, f"only the schema refuses {json.dumps(document)}: {first.json_path}: {first.message}"
        return
    told_by_schema = [d for d in found if not is_inexpressible(d, document)]
    if told_by_schema and not any(not accepted(other) for other in with_types(document)):
        pytest.fail(f"only validation refuses {json.dumps(document)}: {told_by_schema[0]}")
