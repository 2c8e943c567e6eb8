"""Parts by type: what a part of a model may be, what its own document may say, and what travels with weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from registry.schema.definitions import HEIR, Definitions
from registry.schema.node import Schema, about, closed, ref, united
from registry.schema.types import PartType

#: Names of the documents of a kind, for an editor to offer.
Names = Callable[[str], Iterable[str]]
PATHS = "or a path that starts with `.`, `/` or `~`, or ends in `.yaml`, `.yml` or `.json`"


class Parts:
    """The definitions of parts, each made when it is first referred to.

    Names of definitions have a colon before what no kind, type or class is called.
    """

    def __init__(self, types: Sequence[PartType], definitions: Definitions, names: Names) -> None:
        self._types = types
        self._definitions = definitions
        self._names = names

    def position(self, kind: str, *, heir: bool) -> Schema:
        """What a model has where a part of that kind goes: settings, or a name."""
        name = self._once(f"{kind}:name", lambda: self._reference(kind, types_too=True))
        return {"anyOf": [self._heirs_settings(kind) if heir else self._settings(kind), name]}

    def whole(self, kind: str, extra: Schema, required: Iterable[str] = (), suffix: str = "") -> Schema:
        """A mapping with a type, the settings of that type, and some more keys."""
        needed = [*required, "type"]
        schema = {"type": "object", "required": needed, "properties": {**about(extra), "type": self._type(kind)}}
        return {**schema, **self._by_type(kind, extra, needed, suffix, heir=False)}

    def partial(self, kind: str, extra: Schema, required: Iterable[str] = (), suffix: str = HEIR) -> Schema:
        """A mapping with some settings of its type, or of any type where it names none, and some more keys."""
        needed = list(required)
        typed = self._by_type(kind, extra, [*needed, "type"], suffix, heir=True)
        return {
            "type": "object",
            "if": {"required": ["type"]},
            "then": {"properties": {**about(extra), "type": self._type(kind)}, **typed},
            "else": closed({**self._any_settings(kind), **extra, "type": self._type(kind)}, needed),
        }

    def overlay(self, kind: str) -> Schema:
        """Settings of a part that travel with weights; a type among them is the model's own, and may be left out."""
        types = dict.fromkeys(part.bare for part in self._of(kind))
        own_type = {"description": "The type that the model's part has anyway.", "enum": [*types, None]}
        return self._once(f"{kind}:overlay", lambda: closed({"type": own_type, **self._any_settings(kind)}))

    def extends(self, kind: str, *, types_too: bool = False) -> Schema:
        """The parents of a document or part."""

        def make() -> Schema:
            one = self._reference(kind, types_too=types_too)
            text = f"One {kind} or a list of them, from which comes what is not written here; later ones win."
            return {"description": text, "anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}

        return self._once(f"{kind}:part_extends" if types_too else f"{kind}:extends", make)

    def _settings(self, kind: str) -> Schema:
        extra = {"extends": self.extends(kind, types_too=True)}
        return self._once(
            f"{kind}:settings",
            lambda: {
                "type": "object",
                "properties": about({"type": {"description": f"Type of {kind}."}, **extra}),
                "if": {"required": ["extends"]},
                "then": self._heirs_settings(kind),
                "else": self._once(f"{kind}:whole", lambda: self.whole(kind, {})),
            },
        )

    def _heirs_settings(self, kind: str) -> Schema:
        extra = {"extends": self.extends(kind, types_too=True)}
        return self._once(kind + HEIR, lambda: self.partial(kind, extra))

    def _by_type(self, kind: str, extra: Schema, required: list[str], suffix: str, *, heir: bool) -> Schema:
        """The keys of a mapping as its type wants them, one branch a type."""
        branches = [
            {
                "if": {"properties": {"type": {"type": "string", "pattern": part.pattern}}, "required": ["type"]},
                "then": self._once(part.label + suffix, partial(self._of_type, part, extra, required, heir)),
            }
            for part in self._of(kind)
        ]
        return {"allOf": branches} if branches else {}

    def _of_type(self, part: PartType, extra: Schema, required: list[str], heir: bool) -> Schema:
        """The settings of one type and some more keys, which win where a setting has the name of one."""
        name = self._definitions.raw.name(part.spec_class)
        raw = self._definitions.raw[name]
        needed = [] if heir else [key for key in raw.get("required", ()) if key not in required and key not in extra]
        settings = {key: value for key, value in self._pointed(part, heir).items() if key not in ("type", *extra)}
        own_type = {"description": f"Type of {part.kind}.", "type": "string", "pattern": part.pattern}
        text = {"description": part.description} if part.description else {}
        properties = {**extra, "type": own_type, **settings}
        title = f"{part.kind} {part.bare}"
        return closed(properties, [*required, *needed], self._definitions.renamed(name), title=title, **text)

    def _pointed(self, part: PartType, heir: bool) -> Schema:
        """The settings of a type, each written once in a file and pointed to from all its variants."""
        name = self._definitions.raw.name(part.spec_class)
        whole = self._definitions.properties(name, heir=False)
        self._once(part.label + ":settings", lambda: {"properties": whole})
        return {
            key: ref(part.label + ":settings", key) if value == whole[key] else value
            for key, value in self._definitions.properties(name, heir=heir).items()
        }

    def _any_settings(self, kind: str) -> Schema:
        """The settings of every type of a kind."""
        parts = self._of(kind)
        names = [self._definitions.raw.name(part.spec_class) for part in parts]
        each = [self._definitions.properties(name, heir=True) for name in names]
        merged = united(each)
        for part, properties in zip(parts, each, strict=True):
            alone = {key for key in properties if merged[key] == properties[key]}
            merged |= {key: value for key, value in self._pointed(part, heir=True).items() if key in alone}
        return {key: value for key, value in merged.items() if key != "type"}

    def _type(self, kind: str) -> Schema:
        """The types of a kind by name, each with what its class says of itself."""

        def make() -> Schema:
            if not self._of(kind):
                return {"description": f"Nothing that is installed provides a type of {kind}.", "not": {}}
            choices: list[Schema] = []
            for part in self._of(kind):
                text = {"description": part.description} if part.description else {}
                choices.append({"const": part.name, **text})
                for old, until in part.former:
                    text = {"description": f"Now called `{part.bare}`; read until release {until}."}
                    choices.append({"const": old, **text, "deprecated": True})
            patterns = [{"type": "string", "pattern": part.pattern} for part in self._of(kind)]
            return {"description": f"Type of {kind}.", "anyOf": [*choices, *patterns]}

        return self._once(f"{kind}:type", make)

    def _reference(self, kind: str, *, types_too: bool) -> Schema:
        """The name or path of a document; the known names are examples, as a user's files have others."""
        known = [*self._names(kind), *(part.name for part in self._of(kind) if types_too)]
        examples = {"examples": list(dict.fromkeys(known))} if known else {}
        return {"description": f"Name of a {kind}, {PATHS}.", "type": "string", "minLength": 1, **examples}

    def _of(self, kind: str) -> list[PartType]:
        return [part for part in self._types if part.kind == kind]

    def _once(self, name: str, make: Callable[[], Schema]) -> Schema:
        """A reference to a definition, made if it is not yet there."""
        if name not in self._definitions.made:
            self._definitions.made[name] = {}
            self._definitions.made[name] = make()
        return ref(name)
