"""Loading plugins and answering for what they registered."""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from registry.errors import ConflictError, PluginError, RegistryWarning, UnknownNameError
from registry.host.discovery import Candidate
from registry.host.heavy import HeavyImports
from registry.host.loading import Loader
from registry.host.names import Former, choices, only_rename, split
from registry.host.records import (
    CatalogRecord,
    CategoriesRecord,
    CommandRecord,
    Contribution,
    Origin,
    PartRecord,
    PluginRecord,
)
from registry.host.spec_classes import checked
from registry.rules import RULES
from registry.specs import ModelSpec, PartSpec, Rename
from registry.suggest import did_you_mean

R = TypeVar("R", PartRecord, CategoriesRecord, CommandRecord)


class PluginHost:
    """Knows every plugin and everything that the working ones registered.

    A plugin that fails to import or to register is recorded and warned about, and leaves nothing behind. With
    `REGISTRY_STRICT_PLUGINS=1` it is an error.

    Raises:
        PluginError: in strict mode, when any plugin failed.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        loader = Loader()
        self._spec_classes: dict[PartRecord, type[PartSpec]] = {}
        self.plugins: tuple[PluginRecord, ...] = tuple(loader.load(candidate) for candidate in candidates)
        failed = [(record.origin, "failed", record.error) for record in self.plugins if record.state == "failed"]
        failed += [(record.origin, "slows every start", record.warning) for record in self.plugins if record.warning]
        if failed and _strict():
            raise PluginError("\n".join(f"plugin {origin} {what}: {text}" for origin, what, text in failed))
        for origin, what, text in failed:
            _warn(f"plugin {origin} {'is left out' if what == 'failed' else what}: {text}")

    def _contributions(self) -> Iterator[Contribution]:
        return (record.contribution for record in self.plugins)

    @cached_property
    def parts(self) -> list[PartRecord]:
        """Every registered part, in the order of the plugins."""
        return [part for contribution in self._contributions() for part in contribution.parts]

    @property
    def catalogs(self) -> list[CatalogRecord]:
        """Every folder of documents."""
        return [catalog for contribution in self._contributions() for catalog in contribution.catalogs]

    @property
    def categories(self) -> list[CategoriesRecord]:
        """Every list of class names."""
        return [record for contribution in self._contributions() for record in contribution.categories]

    @property
    def commands(self) -> list[CommandRecord]:
        """Every verb that plugins add to the command line."""
        return [command for contribution in self._contributions() for command in contribution.commands]

    @cached_property
    def rule_pages(self) -> dict[str, Path]:
        """The page of each rule that some plugin explains, the first plugin's where several do."""
        folders = [record.folder for contribution in self._contributions() for record in contribution.rules]
        return {page.stem: page for folder in reversed(folders) for page in sorted(folder.glob("*.md"))}

    @cached_property
    def rule_ids(self) -> frozenset[str]:
        """Every rule of the core and of plugins."""
        return frozenset({*RULES, *self.rule_pages})

    def part(self, kind: str, type_name: str) -> PartRecord:
        """The part of that kind and type; `distribution/type` chooses between several.

        Raises:
            UnknownNameError: nothing installed provides it.
            ConflictError: several distributions do.
        """
        if (kind, type_name) in self._unique:
            return self._unique[kind, type_name]
        records = [part for part in self.parts if part.kind == kind]
        rename = self.former_type(kind, type_name)
        if rename is not None:
            type_name = f"{type_name.rpartition('/')[0]}/{rename.name}".removeprefix("/")
        return _choose(records, lambda part: part.type, f"type of {kind}", type_name)

    @cached_property
    def _unique(self) -> dict[tuple[str, str], PartRecord]:
        """Parts by kind and type, where one plugin provides it."""
        counts = Counter((part.kind, part.type) for part in dict.fromkeys(self.parts))
        return {(p.kind, p.type): p for p in reversed(self.parts) if counts[p.kind, p.type] == 1}

    def own_type(self, kind: str, type_name: str, origin: Origin) -> str:
        """A type as a plugin's own document means it: where several distributions have it, the plugin's own comes first."""
        if "/" in type_name or (kind, type_name) in self._unique:
            return type_name
        owned = origin.distribution in self._owners.get((kind, type_name), ())
        return f"{origin.distribution}/{type_name}" if owned else type_name

    def has_type(self, kind: str, type_name: str) -> bool:
        """Whether some plugin provides a type, or did under that name, or `distribution/type`."""
        distribution, bare = split(type_name)
        rename = self.former_type(kind, type_name)
        owners = self._owners.get((kind, bare if rename is None else rename.name), ())
        return bool(owners) if not distribution else distribution in owners

    @cached_property
    def _owners(self) -> dict[tuple[str, str], list[str]]:
        """The distributions that provide each kind and type."""
        owners: dict[tuple[str, str], list[str]] = {}
        for part in self.parts:
            owners.setdefault((part.kind, part.type), []).append(part.origin.distribution)
        return owners

    def former_type(self, kind: str, type_name: str) -> Rename | None:
        """The rename of a type that was given up and is no part's type now; else None."""
        if not self._former_types:
            return None
        distribution, bare = split(type_name)
        return only_rename(distribution, self._former_types.get((kind, bare), ()), self._owners.get((kind, bare), ()))

    @property
    def renames(self) -> bool:
        """Whether any part gave up a type."""
        return bool(self._former_types)

    @cached_property
    def _former_types(self) -> dict[tuple[str, str], list[Former]]:
        former: dict[tuple[str, str], list[Former]] = {}
        for part in self.parts:
            for old, until in part.renames:
                former.setdefault((part.kind, old), []).append((part.origin.distribution, Rename(part.type, until)))
        return former

    def categories_named(self, name: str) -> CategoriesRecord:
        """The list of class names of that name; raises as `part` does."""
        return _choose(self.categories, lambda record: record.name, "list of categories", name)

    def spec_class(self, kind: str, type_name: str) -> type[PartSpec]:
        """The spec class of a part, imported on first use.

        Raises:
            UnknownNameError, ConflictError: as `part`.
            PluginError: it cannot be imported, or is not a spec class of that kind.
        """
        return self.spec_class_of(self.part(kind, type_name))

    def spec_class_of(self, record: PartRecord) -> type[PartSpec]:
        """The spec class of one registration, imported on first use; raises PluginError as `spec_class` does."""
        if record not in self._spec_classes:
            heavy, started = HeavyImports(), time.perf_counter()
            found = checked(record, import_attribute(record.spec, record.origin))
            told = heavy.told(f"the spec of the {record.kind} `{record.type}`", time.perf_counter() - started)
            if told is not None and _strict():
                raise PluginError(f"plugin {record.origin}: {told}")
            self._spec_classes[record] = found
            if told is not None:
                _warn(f"plugin {record.origin}: {told}")
        return self._spec_classes[record]

    def record_of(self, part: PartSpec) -> PartRecord:
        """The registration behind a spec object, even where several distributions share its type."""
        for record, spec_class in self._spec_classes.items():
            if spec_class is type(part):
                return record
        return self.part(part.kind, part.type)

    def dump(self, spec: ModelSpec) -> dict[str, Any]:
        """A model's spec as plain data; a type that several distributions provide is written `distribution/type`."""
        data = spec.model_dump(mode="json")
        for key, part in spec.parts():
            record = self.record_of(part)
            if len({other for other in self.parts if (other.kind, other.type) == (record.kind, record.type)}) > 1:
                data[key]["type"] = f"{record.origin.distribution}/{record.type}"
        return data

    def target(self, part: PartSpec) -> Callable[..., Any]:
        """What builds a part, imported on first use.

        Raises:
            PluginError: it cannot be imported, or the part has nothing to build.
        """
        record = self.record_of(part)
        if record.target is None:
            raise PluginError(f"the {record.kind} `{record.type}` of {record.origin} has nothing to build")
        target: Callable[..., Any] = import_attribute(record.target, record.origin)
        return target

    def init(self, part: PartSpec) -> Callable[..., None] | None:
        """What initialises a part's parameters, or None; raises as `target` does."""
        record = self.record_of(part)
        return None if record.init is None else import_attribute(record.init, record.origin)


def _strict() -> bool:
    return os.environ.get("REGISTRY_STRICT_PLUGINS") == "1"


def _warn(text: str) -> None:
    warnings.warn(text, RegistryWarning, stacklevel=3)


def import_attribute(path: Any, origin: Origin) -> Any:
    """The object at `module:attribute`; an object that was registered itself comes back as it is.

    Raises:
        PluginError: naming the plugin, when the module does not import or lacks the attribute.
        MissingExtraError: unchanged, when the module says that a package is missing.
    """
    if not isinstance(path, str):
        return path
    module_name, _, attribute = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            value = getattr(value, name)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise PluginError(f"{origin} gives `{path}`, which cannot be used: {type(error).__name__}: {error}") from error
    return value


def _choose(records: list[R], name_of: Callable[[R], str], what: str, name: str) -> R:
    distribution, bare = split(name)
    matching = [
        record
        for record in records
        if name_of(record) == bare and distribution in ("", record.origin.distribution) and not name.startswith("/")
    ]
    if not matching:
        if not records:
            raise UnknownNameError(f"unknown {what} `{name}`; no plugin brings a {what}")
        prefix = [f"{record.origin.distribution}/" if distribution else "" for record in records]
        hint = did_you_mean(name, [before + name_of(record) for before, record in zip(prefix, records, strict=True)])
        raise UnknownNameError(f"unknown {what} `{name}`" + (f"; {hint}" if hint else ""))
    if len(set(matching)) > 1:
        origins = [record.origin for record in matching]
        providers = ", ".join(map(str, origins))
        raise ConflictError(f"several plugins provide the {what} `{bare}`: {providers}; {choices(origins, bare)}")
    return matching[0]
