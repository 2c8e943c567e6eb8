"""What the host remembers: the plugins it met and everything they registered.

Two records are equal when they register the same thing, whoever does it: one object reached by two paths is no conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

State = Literal["loaded", "disabled", "failed"]


class Origin(NamedTuple):
    """Who brings something: a plugin of an installed distribution."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} (plugin `{self.plugin}`)"


@dataclass(frozen=True)
class PartRecord:
    """A registered part.

    Attributes:
        spec, target, init, load: `module:attribute`, imported on demand, or the objects themselves.
        renames: types that it gave up, each with the release that reads it no longer.
    """

    kind: str
    type: str
    spec: Any
    target: Any
    init: Any
    origin: Origin = field(compare=False)
    renames: tuple[tuple[str, str], ...] = field(compare=False, default=())
    load: Any = None

    def __hash__(self) -> int:
        return hash((self.kind, self.type))  # what was registered itself need have no hash

    @property
    def spec_name(self) -> str:
        """Where the spec comes from, for messages."""
        return self.spec if isinstance(self.spec, str) else str(getattr(self.spec, "__qualname__", self.spec))


@dataclass(frozen=True)
class CatalogRecord:
    """A folder of documents."""

    folder: Path
    origin: Origin = field(compare=False)


@dataclass(frozen=True)
class CategoriesRecord:
    """A list of class names, one a line of a text file."""

    name: str
    file: Path
    origin: Origin = field(compare=False)


@dataclass(frozen=True)
class RulesRecord:
    """A folder of pages that explain rules, `ID.md` each."""

    folder: Path
    origin: Origin = field(compare=False)


@dataclass(frozen=True)
class CommandRecord:
    """A verb of the command line; `target` is a click command."""

    name: str
    target: str
    summary: str
    origin: Origin = field(compare=False)


@dataclass
class Contribution:
    """All that one plugin registered; kept only if its hook ends well."""

    parts: list[PartRecord] = field(default_factory=list)
    catalogs: list[CatalogRecord] = field(default_factory=list)
    categories: list[CategoriesRecord] = field(default_factory=list)
    commands: list[CommandRecord] = field(default_factory=list)
    rules: list[RulesRecord] = field(default_factory=list)


class PluginRecord(NamedTuple):
    """One plugin that the host met.

    Attributes:
        state: `loaded`, `disabled` by an environment variable, or `failed`.
        error: why it failed, in one line; None otherwise.
        seconds: time that importing it and calling its hook took.
        warning: what is wrong with one that works all the same; None if nothing is.
    """

    origin: Origin
    state: State
    error: str | None
    seconds: float
    contribution: Contribution
    warning: str | None = None
