"""The base class of every spec, and the list type that specs use."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails

T = TypeVar("T")


def _listed(value: Any) -> Any:
    """A list becomes a tuple; what has no order of its own, such as a set, stays as it is and is refused."""
    return tuple(value) if isinstance(value, list) else value


#: A list in YAML or JSON, an immutable tuple in Python. Its items stay strict.
Listed = Annotated[tuple[T, ...], BeforeValidator(_listed)]


class Rename(NamedTuple):
    """The name that took the place of one that was given up, and the release that reads the old one no longer."""

    name: str
    until: str


class Spec(BaseModel):
    """Immutable settings that reject unknown keys, convert no scalar silently and hold no infinite or undefined number.

    Raises:
        pydantic.ValidationError: when constructed with anything else. Through the registry the same mistakes come as
            diagnostics with a position.
    """

    #: Keys that were given up: documents that have them are still read, with a warning.
    renamed_keys: ClassVar[dict[str, Rename]] = {}

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=False,
        defer_build=True,  # a document needs few of all spec classes
    )

    @model_validator(mode="before")
    @classmethod
    def _no_lookalikes(cls, data: Any) -> Any:
        """Refuses `true` and `1.0` where a Literal says 1: Python holds the three for equal, and so does pydantic."""
        choices = _number_choices(cls)
        if not choices or not isinstance(data, dict):
            return data
        suspects = [key for key in choices if type(data.get(key)) in _NO_WHOLE]
        wrong = [e for key in suspects for e in _lookalikes(choices[key], data[key], (key,))]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return data


#: What may hold a number that only looks like a choice.
_NO_WHOLE = (bool, float, list, tuple)


@functools.cache
def _number_choices(spec_class: type[BaseModel]) -> dict[str, Any]:
    """Annotations of the fields where a truth value or a whole number is among the choices of a Literal."""
    return {
        name: field.annotation
        for name, field in spec_class.model_fields.items()
        if any(isinstance(choice, int) for leaf in _leaves(field.annotation) for choice in _choices(leaf))
    }


def _choices(leaf: Any) -> tuple[Any, ...]:
    return typing.get_args(leaf) if typing.get_origin(leaf) is Literal else ()


def _lookalikes(annotation: Any, value: Any, loc: tuple[str | int, ...]) -> Iterator[InitErrorDetails]:
    """An error for each truth value or fraction, also inside a list, that equals a choice and is none."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _lookalikes(annotation, item, (*loc, index))
    elif isinstance(value, (bool, float)):
        leaves = list(_leaves(annotation))
        choices = [choice for leaf in leaves for choice in _choices(leaf)]
        same = [type(choice) for choice in choices if choice == value]
        if same and type(value) not in (*same, *leaves):
            expected = ", ".join(map(repr, choices))
            yield InitErrorDetails(type="literal_error", loc=loc, input=value, ctx={"expected": expected})


def _leaves(annotation: Any) -> Iterator[Any]:
    """The Literals and plain types that an annotation is made of."""
    arguments = typing.get_args(annotation)
    if not arguments or typing.get_origin(annotation) is Literal:
        yield annotation
    else:
        for argument in arguments:
            yield from _leaves(argument)
