"""Suites: lists of models with published figures, as data. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry.errors import RegistryError, UnknownNameError
from registry.suggest import did_you_mean

#: End of the names of the suites that come with this plugin, which hold YAML: `registry validate` looks for documents of
#: models in files that end in `.yaml`.
_SUFFIX = ".suite"
Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Data):
    """A row of a table: what is measured, and what was published.

    Attributes:
        model: a name of the catalog or `torchvision:NAME`; None: published only, unless a file is given for it.
        weights: a name from the model's document.
        image: height and width in pixels of the images that it is given; None: the table's.
        published: accuracy by metric, in percent; `seconds` of one image; `parameters`.
    """

    id: str
    label: str
    model: str | None = None
    weights: str | None = None
    overrides: dict[str, Any] = {}
    image: Size | None = None
    published: dict[str, float] = {}
    note: str | None = None


class Table(_Data):
    """Rows that are timed together, in turns.

    Attributes:
        metrics: names of the accuracy figures that its columns show.
        baseline: id of the row that ratios are against; None: the first one that is measured.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    image: Size | None = None
    baseline: str | None = None
    rows: tuple[Row, ...]


class Part(_Data):
    """A figure that was promised.

    Attributes:
        kind: `speedup` (time of `slow` by that of `fast`), `saving` (the share of `slow`'s time that `fast` does not need), or
            `points` (accuracy of `better` less that of `worse`, in points).
    """

    label: str
    kind: Literal["speedup", "saving", "points"]
    slow: str | None = None
    fast: str | None = None
    better: str | None = None
    worse: str | None = None
    metric: str | None = None
    promised: float

    @model_validator(mode="after")
    def _whole(self) -> Part:
        needed = ("better", "worse", "metric") if self.kind == "points" else ("slow", "fast")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a part of the kind `{self.kind}` needs `{missing[0]}`")
        return self

    @property
    def rows(self) -> tuple[str, str]:
        """Ids of the two rows: slow and fast, or better and worse."""
        first, second = (self.better, self.worse) if self.kind == "points" else (self.slow, self.fast)
        assert first is not None
        assert second is not None
        return first, second


class Headline(_Data):
    """A claim with its figures."""

    claim: str
    parts: tuple[Part, ...]
    note: str | None = None


class Source(_Data):
    """Where the published figures stand."""

    title: str
    url: str
    date: Any = None


class Suite(_Data):
    """Tables and headlines.

    Attributes:
        runs: counted runs of each row, unless the user says how many.
        measured: names that `registry evaluate` has for the metrics, in shares of 1 and not in percent.
    """

    name: str
    summary: str
    source: Source
    runs: Annotated[int, Field(ge=1)] = 10
    measured: dict[str, str] = {}
    tables: tuple[Table, ...]
    headlines: tuple[Headline, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> Suite:
        known = [row.id for row in self.every_row()]
        for name in known:
            if known.count(name) > 1:
                raise ValueError(f"two rows have the id `{name}`")
        for table in self.tables:
            if table.baseline is not None and table.baseline not in [row.id for row in table.rows]:
                raise ValueError(f"the baseline `{table.baseline}` is no row of the table `{table.name}`")
        for headline in self.headlines:
            for part in headline.parts:
                for name in part.rows:
                    if name not in known:
                        raise ValueError(f"a headline names the row `{name}`, which no table has")
        return self

    def every_row(self) -> Iterator[Row]:
        """The rows of all tables."""
        for table in self.tables:
            yield from table.rows

    def chosen(self, names: Sequence[str]) -> Suite:
        """The suite with these tables alone, and the headlines whose rows are all in them; all, where none is named.

        Raises:
            UnknownNameError: it has no such table.
        """
        known = [table.name for table in self.tables]
        for name in names:
            if name not in known:
                raise UnknownNameError(f"the suite `{self.name}` has no table `{name}`; {did_you_mean(name, known)}")
        if not names:
            return self
        tables = tuple(table for table in self.tables if table.name in names)
        there = {row.id for table in tables for row in table.rows}
        kept = tuple(each for each in self.headlines if any(set(part.rows) <= there for part in each.parts))
        parts = [
            each.model_copy(update={"parts": tuple(part for part in each.parts if set(part.rows) <= there)})
            for each in kept
        ]
        return self.model_copy(update={"tables": tables, "headlines": tuple(parts)})

    def replaced(self, given: Sequence[str]) -> dict[str, str]:
        """What rows run instead, by their ids, from `ROW=FILE`.

        Raises:
            RegistryError: another form.
            UnknownNameError: no row has that id.
        """
        known, found = [row.id for row in self.every_row()], {}
        for text in given:
            name, equals, word = text.partition("=")
            if not equals or not word:
                raise RegistryError(f"--use {text}: write ROW=FILE, such as {known[0]}=model.onnx")
            if name not in known:
                hint = did_you_mean(name, known) or f"rows are {', '.join(known)}"
                raise UnknownNameError(f"the suite `{self.name}` has no row `{name}`; {hint}")
            found[name] = word
        return found


def names() -> list[str]:
    """The suites that come with this plugin."""
    folder = files("registry_benchmark") / "suites"
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))


def read(name: str) -> Suite:
    """A suite by its name, or from a file of YAML.

    Raises:
        UnknownNameError: there is none of that name.
        RegistryError: the file cannot be read, is no YAML, or holds something else than a suite.
    """
    if name in names():
        text = (files("registry_benchmark") / "suites" / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
        return parsed(text, f"{name}{_SUFFIX}")
    path = Path(name).expanduser()
    if not path.is_file():
        if path.suffix or "/" in name:
            raise RegistryError(f"there is no file {name}")
        raise UnknownNameError(f"there is no suite `{name}`; {did_you_mean(name, names())}")
    try:
        return parsed(path.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{name} cannot be read: {error}") from error


def parsed(text: str, name: str) -> Suite:
    """A suite from YAML.

    Args:
        name: of the file, for messages.

    Raises:
        RegistryError: it is no YAML, or no suite; tells the place.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RegistryError(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise RegistryError(f"{name} is nested too deeply for a suite") from None
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"]) or "the suite"
        raise RegistryError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
