"""What is searched: `--search recipe.rate=log:1e-4,1e-2` as a field with the values that it may have. Imports no optuna."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from registry.catalog import from_assignments
from registry.catalog.merge import DISCRIMINATORS
from registry.errors import RegistryError
from registry.source import SourceProblem, plain, read_value

_KINDS = ("log", "linear", "int", "choice")
_EXAMPLE = "write for instance --search recipe.rate=log:1e-4,1e-2, linear:A,B, int:A,B or choice:A,B,C"


@dataclass(frozen=True)
class Field:
    """A field and its values.

    Attributes:
        path: as in `--set`, such as `recipe.optimizer.weight_decay`.
        kind: `log` and `linear` are ranges of numbers with both ends, `int` one of whole numbers, `choice` a list.
        low, high, step: of a range; a step only of whole numbers.
        choices: of a list, by the name that the study stores.
    """

    path: str
    kind: Literal["log", "linear", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    choices: Mapping[str | int | float | bool | None, Any] | None = None

    @property
    def text(self) -> str:
        """The definition, equal for equal ones however they were written: `log:1e-06,0.0001`."""
        if self.choices is not None:
            return "choice:" + ",".join(json.dumps(value) for value in self.choices.values())
        step = f",{self.step}" if self.step != 1 else ""
        return f"{self.kind}:{self.low!r},{self.high!r}{step}"

    def ends(self) -> list[Any]:
        """Both ends of a range, every choice of a list."""
        return list(self.choices.values()) if self.choices is not None else [self.low, self.high]

    def value(self, stored: Any) -> Any:
        """The value that a study's parameter stands for."""
        return self.choices[stored] if self.choices is not None else stored


def parsed(texts: Sequence[str]) -> tuple[Field, ...]:
    """The fields of `PATH=KIND:VALUES`, those first that decide which others there are (`kind`, `type`).

    Raises:
        RegistryError: another form, a range without room, or a field twice.
    """
    if not texts:
        raise RegistryError(f"nothing is searched; {_EXAMPLE}")
    fields = [_parsed(text) for text in texts]
    for index, field in enumerate(fields):
        if field.path in {other.path for other in fields[:index]}:
            raise RegistryError(f"--search {field.path} is given twice; keep one")
    return tuple(sorted(fields, key=lambda field: field.path.rpartition(".")[2] not in DISCRIMINATORS))


def setting(path: str, value: Any) -> str:
    """`PATH=VALUE` as `--set` takes it."""
    return f"{path}={json.dumps(value)}"


def _parsed(text: str) -> Field:
    path, equals, told = text.partition("=")
    kind, colon, values = told.partition(":")
    path, kind = path.strip(), kind.strip()
    if not equals or not colon or not all(key.strip() for key in path.split(".")) or kind not in _KINDS:
        raise RegistryError(f"`--search {text}` does not say what is searched; {_EXAMPLE}")
    from_assignments([f"{path}=0"])  # raises where no setting has such a path
    return _choice(path, values, text) if kind == "choice" else _range(path, kind, values, text)


def _choice(path: str, values: str, text: str) -> Field:
    try:
        found = plain(read_value(f"[{values}]", "--search"))
    except SourceProblem as problem:
        raise RegistryError(f"`--search {text}`: {problem.message}") from problem
    assert isinstance(found, list)
    choices = {
        value if isinstance(value, str | int | float | bool | None) else json.dumps(value): value for value in found
    }
    if len(choices) < 2:
        raise RegistryError(f"`--search {text}` leaves no choice; give two different values or more, or use --set")
    return Field(path, "choice", choices=choices)


def _range(path: str, kind: str, values: str, text: str) -> Field:
    parts = [part.strip() for part in values.split(",")]
    whole = kind == "int"
    if len(parts) not in ((2, 3) if whole else (2,)):
        wanted = "two whole numbers, and a step if need be: int:8,64,8" if whole else f"two numbers: {kind}:1e-4,1e-2"
        raise RegistryError(f"`--search {text}` needs {wanted}")
    low, high = (_number(part, whole, text) for part in parts[:2])
    step = int(_number(parts[2], True, text)) if len(parts) == 3 else 1
    if low == high:
        raise RegistryError(f"`--search {text}` is a range of one value; write --set {path}={parts[0]}")
    if low > high:
        swapped = ",".join([parts[1], parts[0], *parts[2:]])
        raise RegistryError(f"`--search {text}` is the wrong way round; write {path}={kind}:{swapped}")
    if kind == "log" and low <= 0:
        raise RegistryError(
            f"`--search {text}` starts at {parts[0]}, which has no logarithm; start above 0, such as at 1e-6, or write linear:"
        )
    if whole and (step < 1 or (high - low) % step):
        raise RegistryError(f"`--search {text}` does not come from {parts[0]} to {parts[1]} in steps of {step}")
    return Field(path, "int" if whole else "log" if kind == "log" else "linear", low, high, step)


def _number(part: str, whole: bool, text: str) -> float:
    try:
        found = int(part) if whole else float(part)
    except ValueError:
        raise RegistryError(f"`--search {text}`: `{part}` is no {'whole ' if whole else ''}number") from None
    if not math.isfinite(found):
        raise RegistryError(f"`--search {text}`: a range ends at a number, not at `{part}`")
    return found
