"""The base class of every spec, and the list type that specs use."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

#: A list in YAML or JSON, an immutable tuple in Python. Its items stay strict.
Listed = Annotated[tuple[T, ...], Field(strict=False)]


class Spec(BaseModel):
    """Immutable settings that reject unknown keys, convert no scalar silently and hold no infinite or undefined number.

    Raises:
        pydantic.ValidationError: when constructed with anything else. Through the registry the same mistakes come as
            diagnostics with a position.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=False,
    )
