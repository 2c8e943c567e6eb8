"""Wrong values of single settings, each of which must be told at its key."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from registry.testing.check import check
from registry.testing.checks.specs import nested, samples_of
from registry.testing.outcome import Skipped
from registry.testing.subjects import PartSubject
from registry.testing.texts import dotted, laid, problems, problems_at, written

#: A text that is no number and no choice.
_NO_CHOICE = "no-such-value"


@check("part")
def wrong_values_are_told_at_their_key(part: PartSubject) -> Iterator[str]:
    """A number out of range, a choice that is none and a value of another kind are errors at the setting that has them."""
    sample = samples_of(part)[0]
    data, kind = part.data(sample), part.record.kind
    text, _ = written(kind, data)
    if problems(part.registry, text):
        raise Skipped("its own settings are refused; see spec_survives_yaml_and_json")
    specs: list[tuple[Any, BaseModel]] = [((), sample), *nested(sample)]
    for path, spec in specs:
        for name, field in type(spec).model_fields.items():
            for value in () if (*path, name) == ("type",) else wrong_values(field):
                place = (*path, name)
                text, nodes = written(kind, laid(data, place, value))
                if not problems_at(part.registry, text, nodes, place):
                    elsewhere = [str(diagnostic) for diagnostic in problems(part.registry, text)]
                    told = f"is told elsewhere: {elsewhere[0]}" if elsewhere else "is accepted"
                    yield f"`{dotted(place)}`: {value!r} {told}; let the annotation of the field refuse it"


def wrong_values(field: FieldInfo) -> list[Any]:
    """Values that the annotation of a field must refuse; none where it is no plain number, choice or truth value."""
    leaves = set(_leaves(field.annotation)) - {type(None)}
    choices = [leaf for leaf in leaves if typing.get_origin(leaf) is typing.Literal]
    plain = leaves - set(choices)
    if not leaves or not plain <= {int, float, bool}:
        return []
    wrong: list[Any] = [_NO_CHOICE]
    step: Any = 1 if float not in plain else 0.5
    for bound in field.metadata if not choices else ():
        for name, outside in (("ge", -step), ("gt", 0), ("le", step), ("lt", 0)):
            limit = getattr(bound, name, None)
            if isinstance(limit, (int, float)):
                wrong.append(limit + outside)
    if plain == {int} and not choices:
        wrong.append(0.25)
    return wrong


def _leaves(annotation: Any) -> Iterator[Any]:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _leaves(arguments[0])
    elif not arguments or typing.get_origin(annotation) is typing.Literal:
        yield annotation
    elif typing.get_origin(annotation) in (list, tuple, dict, set, frozenset):
        yield object  # something that holds others
    else:
        for argument in arguments:
            yield from _leaves(argument)
