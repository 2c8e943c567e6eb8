"""pydantic's errors in this project's words, each at the place in the document that caused it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails

from registry.catalog.fields import kinds_wanted, known_keys, known_values
from registry.diagnostics import Diagnostic
from registry.source import Mapping, Node, Scalar, Span
from registry.source import Sequence as SequenceNode
from registry.specs import PartTypes, Spec
from registry.specs.about import NAME
from registry.specs.model import DIGEST
from registry.suggest import did_you_mean

#: Mistakes of one document that are told; a person reads fewer, and each is held against the others.
_MOST = 300


class Place(NamedTuple):
    """Where a path of keys and indices leads in a document.

    Attributes:
        path: the part of the path that exists; pydantic adds names of union members, which do not.
        node: what stands there.
        key_span: where its key stands; None for the root and for items of a list.
    """

    path: tuple[str | int, ...]
    node: Node
    key_span: Span | None

    @property
    def span(self) -> Span:
        """The value of a scalar or list item, the key of a mapping or list."""
        if self.key_span is not None and isinstance(self.node, (Mapping, SequenceNode)):
            return self.key_span
        if isinstance(self.node, Mapping) and self.node.entries:
            return next(iter(self.node.entries.values())).key_span
        return self.node.span


def locate(root: Node, path: Sequence[str | int]) -> Place:
    """Follows a path as far as it exists, stepping over what is no key."""
    place = Place((), root, None)
    for step in path:
        if isinstance(place.node, Mapping) and isinstance(step, str) and step in place.node.entries:
            entry = place.node.entries[step]
            place = Place((*place.path, step), entry.node, entry.key_span)
        elif isinstance(place.node, SequenceNode) and isinstance(step, int) and step < len(place.node.items):
            place = Place((*place.path, step), place.node.items[step], None)
    return place


def translate(
    items: Sequence[ErrorDetails],
    root: Node,
    spec_class: type[Spec],
    types: PartTypes,
    *,
    prefix: tuple[str, ...] = (),
    outer: tuple[str, ...] = (),
) -> Iterator[Diagnostic]:
    """One diagnostic for each thing pydantic found; the members of a union that all failed count as one.

    Args:
        root: the document, which `spec_class` describes.
        prefix: keys that lead from the root to the mapping that was validated.
        outer: keys that the root may have beside the fields of its class.
    """
    found: dict[tuple[str | int, ...], list[Any]] = {}
    if len(items) > _MOST:
        text = f"there are {len(items) - _MOST:,} more mistakes in this document, which are not told"
        where = locate(root, (*prefix, *items[_MOST]["loc"]))  # the first that is not told
        span = where.key_span or where.span
        yield Diagnostic("REG006", "error", text, span, f"mend the first {_MOST}, and look again")
    for item in items[:_MOST]:
        found.setdefault(locate(root, (*prefix, *item["loc"])).path, []).append(item)
    for path, items in found.items():
        if _is_shadow(path, items, found):
            continue
        yield from _at(path, items, root, spec_class, types, outer)


def _is_shadow(path: tuple[str | int, ...], items: list[Any], found: dict[tuple[str | int, ...], list[Any]]) -> bool:
    """What a deeper error explains: a list "too short" as its items failed, or the union member that was not meant."""
    inside = any(len(other) > len(path) and other[: len(path)] == path for other in found)
    return inside and all(item["type"] == "too_short" or item["type"] in _KINDS for item in items)


def _at(
    path: tuple[str | int, ...],
    items: list[Any],
    root: Node,
    spec_class: type[Spec],
    types: PartTypes,
    outer: tuple[str, ...],
) -> Iterator[Diagnostic]:
    place = locate(root, path)
    values = [item for item in items if item["type"] not in (*_MISSING, "extra_forbidden")]
    values = [item for item in values if item["type"] not in (*_KINDS, "literal_error")] or values
    for item in items:
        if item["type"] == "missing" and isinstance(place.node, Scalar) and place.node.value is None:
            text = f"expected {kinds_wanted(spec_class, root, path, types)}, got nothing"
            yield Diagnostic("REG103", "error", text, place.span)
        elif item["type"] in _MISSING:
            key = str(item["loc"][-1]) if item["type"] == "missing" else item["ctx"]["discriminator"].strip("'")
            choices = known_values(spec_class, root, [*path, key], types)
            yield _missing(key, place, known_keys(spec_class, root, path, types), choices)
        elif item["type"] == "extra_forbidden":
            parent = known_keys(spec_class, root, path[:-1], types)
            yield _unknown_key(str(path[-1]), place, [*parent, *(outer if len(path) == 1 else ())])
    if len(values) > 1 and len({item["type"] for item in values} & set(_KINDS)) > 1:
        wanted = " or ".join(dict.fromkeys(_KINDS[item["type"]] for item in values if item["type"] in _KINDS))
        yield Diagnostic("REG103", "error", f"expected {wanted}, got {shown(values[0]['input'])}", place.span)
        return
    for item in values:
        yield _value(item, place)


#: A key that is not there, and one that tells which member of a union is meant.
_MISSING = ("missing", "union_tag_not_found")


def _missing(key: str, place: Place, known: list[str], choices: list[str]) -> Diagnostic:
    written = place.node.entries if isinstance(place.node, Mapping) else {}
    where = f" in `{_name(place.path)}`" if place.path else ""
    typo = [name for name in written if name not in known and did_you_mean(name, [key]) == f"did you mean `{key}`?"]
    hint = "choose one of " + ", ".join(f"`{choice}`" for choice in choices) if choices else None
    hint = f"is `{typo[0]}` meant to be `{key}`?" if typo else hint
    return Diagnostic("REG102", "error", f"missing key `{key}`{where}", place.span, hint)


def _name(path: tuple[str | int, ...]) -> str:
    """The last key of a path, with the indices after it: `blocks.0`."""
    start = max((index for index, step in enumerate(path) if isinstance(step, str)), default=0)
    return ".".join(map(str, path[start:]))


def _unknown_key(key: str, place: Place, known: list[str]) -> Diagnostic:
    where = f" in `{place.path[-2]}`" if len(place.path) > 1 and isinstance(place.path[-2], str) else ""
    span = place.key_span or place.span
    return Diagnostic("REG101", "error", f"unknown key `{printable(key)}`{where}", span, did_you_mean(key, known))


def _value(item: Any, place: Place) -> Diagnostic:
    rule, message = _message(item)
    hint = None
    written = _written(place.node)
    if item["type"] == "string_type" and written is not None:
        message, hint = f"expected a text, got the number {printable(written)}", "quote it"
    if rule == "REG105":
        expected = str(item["ctx"].get("expected") or item["ctx"].get("expected_tags"))
        hint = _choices_hint(_tag_or_input(item), _split(expected))
    if item["type"].startswith("union_tag"):
        key = str(item["ctx"]["discriminator"]).strip("'")
        place = locate(place.node, [key]) if isinstance(place.node, Mapping) and key in place.node.entries else place
    if item["type"] == "weights_source":
        hint = "write torchvision:ENUM.ENTRY, hf://OWNER/REPO/FILE, or a path such as ./model.safetensors"
    if rule in ("REG107", "REG199"):  # a validator of a plugin's own says what to write in the same way
        message, _, after = message.partition("; ")
        hint = after or None
    return Diagnostic(rule, "error", message, place.span, hint)


def _choices_hint(got: Any, choices: list[str]) -> str | None:
    """The nearest choices for a text, all of them in order for numbers, where none is nearer than another in writing."""
    if all(choice.lstrip("-").isdecimal() for choice in choices):
        return "known: " + ", ".join(f"`{choice}`" for choice in sorted(choices, key=int))
    return did_you_mean(got if isinstance(got, str) else shown(got), [choice.strip("'") for choice in choices])


def _written(node: Node) -> str | None:
    """A number as the document writes it; None for anything else."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        return None
    span = node.span
    text = span.source.line(span.line)[span.column - 1 : span.end_column - 1]
    return text if span.line == span.end_line and text else str(node.value)


_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "list_type": "a list",
    "none_required": "nothing",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "is_instance_of": "a mapping",
    "model_attributes_type": "a mapping",
}

_RANGES: dict[str, Callable[[Any], str]] = {
    "greater_than": lambda ctx: f"must be greater than {number(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"must be at least {number(ctx['ge'])}",
    "less_than": lambda ctx: f"must be less than {number(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"must be at most {number(ctx['le'])}",
    "multiple_of": lambda ctx: f"must be a multiple of {number(ctx['multiple_of'])}",
    "finite_number": lambda ctx: "must be a finite number",
    "string_too_short": lambda ctx: f"must have at least {_count(ctx['min_length'], 'character')}",
    "string_too_long": lambda ctx: f"must have at most {_count(ctx['max_length'], 'character')}",
}


def _message(item: Any) -> tuple[str, str]:
    """Rule and message of an error about a value."""
    kind, got, ctx = item["type"], item["input"], item.get("ctx", {})
    if kind == "float_type" and isinstance(got, int) and not isinstance(got, bool):
        return "REG104", f"{shown(got)} is too large"
    if kind == "union_tag_invalid" and not isinstance(_tag_of(item), str):
        return "REG103", f"expected a text, got {shown(_tag_of(item))}"
    if kind == "tuple_type" and isinstance(got, list):
        return "REG199", "the spec class takes no list here; its author annotates it with registry.specs.Listed[...]"
    if kind in _KINDS:
        return "REG103", f"expected {_KINDS[kind]}, got {shown(got)}"
    if kind in _RANGES:
        return "REG104", f"{_RANGES[kind](ctx)}, got {shown(got)}"
    if kind == "too_short":
        return "REG104", f"must have at least {_count(ctx['min_length'], 'item')}, got {len(got)}"
    if kind == "too_long":
        return "REG104", f"must have at most {_count(ctx['max_length'], 'item')}, got {len(got)}"
    if kind in ("literal_error", "union_tag_invalid"):
        return "REG105", f"{shown(_tag_or_input(item))} is none of the choices"
    if kind == "string_pattern_mismatch":
        return "REG104", f"{shown(got)} {_PATTERNS.get(ctx['pattern'], 'does not match ' + ctx['pattern'])}"
    if kind == "weights_source":
        return "REG104", item["msg"].partition("; ")[0]
    if kind == "part_type":
        return "REG107", item["msg"]
    return "REG199", item["msg"].removeprefix("Value error, ")


_PATTERNS = {
    NAME: "is no name: letters, digits, `.`, `_` and `-`, a letter or digit first",
    DIGEST: "is no digest: 8 to 64 digits, each 0 to 9 or a to f",
}


def _tag_of(item: Any) -> Any:
    """What stands where a text should choose the member of a union."""
    key = str(item["ctx"]["discriminator"]).strip("'")
    return item["input"].get(key) if isinstance(item["input"], dict) else item["ctx"]["tag"]


def _tag_or_input(item: Any) -> Any:
    return item["ctx"]["tag"] if item["type"] == "union_tag_invalid" else item["input"]


def _split(expected: str) -> list[str]:
    return [name.strip() for part in expected.split(",") for name in part.split(" or ")]


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def number(value: float) -> str:
    """A bound as people write it: `8`, `0.5`, `1,000,000`."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def shown(value: Any) -> str:
    """A value as a document writes it, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, int) and value.bit_length() > 400:
        return "a number of more than 100 digits"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return f"`{printable(value if len(value) <= 60 else value[:57] + '...')}`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a {type(value).__name__}"


def printable(text: str) -> str:
    """A text on one line, what cannot be printed escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
