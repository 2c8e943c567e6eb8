"""Spec classes: strict, immutable, described, and the same again after a file."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from registry.errors import RegistryError
from registry.specs import PartSpec, RecipeSpec, TaskSpec
from registry.testing.check import check
from registry.testing.outcome import Skipped
from registry.testing.subjects import PartSubject
from registry.testing.texts import Path, dotted, laid, problems_at, written

#: No spec has such a key.
_UNKNOWN = "no_such_setting"


def samples_of(part: PartSubject) -> list[PartSpec]:
    """Specs of a part; raises Skipped where there is none, and PluginError where its class cannot be used."""
    part.spec_class  # noqa: B018  which says what is wrong with it
    if not part.samples:
        text = f"the {part.label} has settings without a default, and no valid document of the plugin has them"
        raise Skipped(f"{text}{_invalid(part)}; ship one, or pass settings={{'{part.id}': {{...}}}}")
    return part.samples


@check("part")
def unknown_keys_are_refused(part: PartSubject) -> Iterator[str]:
    """A misspelled key is an error that names the key at its place, in nested specs too."""
    sample = samples_of(part)[0]
    for path in [(), *(path for path, _ in nested(sample))]:
        text, nodes = written(part.record.kind, laid(part.data(sample), (*path, _UNKNOWN), 1))
        found = problems_at(part.registry, text, nodes, (*path, _UNKNOWN))
        if not any(_UNKNOWN in diagnostic.message for diagnostic in found):
            where = f"`{dotted(path)}`" if path else "the part"
            hint = "let its class inherit from registry.specs.Spec"
            yield f"{where} takes the unknown key `{_UNKNOWN}`, or does not name it; {hint}"


@check("part")
def spec_is_frozen(part: PartSubject) -> Iterator[str]:
    """Settings cannot be changed after they were validated, in nested specs neither."""
    sample = samples_of(part)[0].model_copy(deep=True)
    for path, spec in [((), sample), *nested(sample)]:
        for name in type(spec).model_fields:
            if isinstance(getattr(spec, name), (list, set)):
                held = type(getattr(spec, name)).__name__
                place = dotted((*path, name))
                yield f"`{place}` holds a {held}, which can be changed in place; annotate it registry.specs.Listed[...]"
        for name in type(spec).model_fields:
            try:
                setattr(spec, name, getattr(spec, name))
            except (ValidationError, AttributeError, TypeError):
                continue
            yield f"`{dotted((*path, name))}` can be set after validation; write frozen=True in its model_config"
            break


@check("part")
def fields_are_described(part: PartSubject) -> Iterator[str]:
    """Every setting has a description, which `registry schema` shows in editors; `type` alone may go without."""
    for spec_class in classes(part.spec_class):
        for name, field in spec_class.model_fields.items():
            if not (field.description or "").strip() and name != "type":
                yield f'`{spec_class.__name__}.{name}` has no description; write Annotated[..., Field(description="...")]'


@check("part")
def spec_survives_yaml_and_json(part: PartSubject) -> Iterator[str]:
    """A spec written to YAML and to JSON is the same spec when the registry reads it."""
    for sample in samples_of(part):
        data = {"kind": part.record.kind, "name": "conformance", **part.data(sample)}
        for form, text in (("JSON", json.dumps(data)), ("YAML", yaml.dump(data, Dumper=_Dumper, sort_keys=False))):
            try:
                document = part.registry.library.from_text(text, f"<{part.label}>", part.record.kind)
                root = part.registry.library.resolve(document)
                read, _ = part.registry.library.check(document, root)
            except RegistryError as error:
                yield f"its {form} is refused: {error}"
                continue
            if read != sample:
                changed = [k for k in type(sample).model_fields if getattr(read, k, None) != getattr(sample, k)]
                told = "; ".join(f"`{k}` was {getattr(sample, k)!r} and is {getattr(read, k, None)!r}" for k in changed)
                yield f"its {form} reads back as another spec: {told}"


@check("head", "dataset", "recipe")
def serves_a_task_that_is_there(part: PartSubject) -> Iterator[str]:
    """The task that the spec class names is registered."""
    spec_class = part.spec_class
    if issubclass(spec_class, RecipeSpec):
        tasks: typing.Sequence[Any] = spec_class.tasks
    else:
        tasks = [getattr(spec_class, "task", None)]
    known = [record.type for record in part.registry.host.parts if record.kind == TaskSpec.kind]
    for task in tasks:
        if task not in known:
            listed = ", ".join(f"`{name}`" for name in known) or "none"
            yield f"{spec_class.__name__} says `{task}` in `task`, which no plugin brings; tasks: {listed}"


@check("backbone", "head", "task")
def is_used_by_a_model(part: PartSubject) -> Iterator[str]:
    """Some model document uses the part, so that it can be built and run."""
    if not part.kit.models_using(part.record):
        text = (
            f"no valid model document uses the {part.record.kind} `{part.record.type}`, so that nobody can see it run"
        )
        yield f"{text}{_invalid(part)}; ship one in the plugin's catalog, or pass models=[...]"


def _invalid(part: PartSubject) -> str:
    """A word about documents of the plugin that may use a part, and are not valid."""
    names = [f"`{document.name}`" for document in part.kit.documents if part.kit.spec_of(document) is None]
    return f" ({', '.join(names)} cannot be read as it is: see document_validates)" if names else ""


def nested(spec: BaseModel, path: Path = ()) -> Iterator[tuple[Path, BaseModel]]:
    """Every spec inside a spec, also in lists, with the path that leads to it."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        items: list[tuple[Path, Any]] = [((*path, name), value)]
        if isinstance(value, (list, tuple)):
            items = [((*path, name, index), item) for index, item in enumerate(value[:1])]
        for place, item in items:
            if isinstance(item, BaseModel):
                yield place, item
                yield from nested(item, place)


def classes(spec_class: type[BaseModel]) -> list[type[BaseModel]]:
    """A spec class and every one that its fields can hold."""
    found = [spec_class]
    for one in found:
        for field in one.model_fields.values():
            found += [held for held in dict.fromkeys(_held(field.annotation)) if held not in found]
    return found


def _held(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _held(argument)


class _Dumper(yaml.SafeDumper):
    """Writes every text in quotes: which words are numbers differs between versions of YAML."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
