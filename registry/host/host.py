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
from typing import Any, TypeVar, get_args

import pluggy

from registry.errors import ConflictError, PluginError, RegistryWarning, UnknownNameError
from registry.host import hookspecs
from registry.host.discovery import Candidate, normal_name
from registry.host.records import (
    CatalogRecord,
    CategoriesRecord,
    CommandRecord,
    Contribution,
    Origin,
    PartRecord,
    PluginRecord,
)
from registry.host.registrar import Registrar
from registry.rules import RULES
from registry.specs import (
    BackboneSpec,
    DatasetSpec,
    ExportSpec,
    HeadSpec,
    ModelSpec,
    PartSpec,
    QuantizationSpec,
    RecipeSpec,
    Rename,
    TaskSpec,
)
from registry.suggest import did_you_mean

_BASES: dict[str, type[PartSpec]] = {
    base.kind: base
    for base in (BackboneSpec, HeadSpec, TaskSpec, DatasetSpec, RecipeSpec, QuantizationSpec, ExportSpec)
}
R = TypeVar("R", PartRecord, CategoriesRecord, CommandRecord)


class PluginHost:
    """Knows every plugin and everything that the working ones registered.

    A plugin that fails to import or to register is recorded and warned about, and leaves nothing behind. With
    `REGISTRY_STRICT_PLUGINS=1` it is an error.

    Raises:
        PluginError: in strict mode, when any plugin failed.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._manager = pluggy.PluginManager("registry")
        self._manager.add_hookspecs(hookspecs)
        self._spec_classes: dict[PartRecord, type[PartSpec]] = {}
        self.plugins: tuple[PluginRecord, ...] = tuple(self._load(candidate) for candidate in candidates)
        failed = [record for record in self.plugins if record.state == "failed"]
        if failed and os.environ.get("REGISTRY_STRICT_PLUGINS") == "1":
            raise PluginError("\n".join(f"plugin {record.origin} failed: {record.error}" for record in failed))
        for record in failed:
            warnings.warn(f"plugin {record.origin} is left out: {record.error}", RegistryWarning, stacklevel=2)

    def _load(self, candidate: Candidate) -> PluginRecord:
        origin = candidate.origin
        if not candidate.enabled:
            return PluginRecord(origin, "disabled", None, 0.0, Contribution())
        started = time.perf_counter()
        try:
            contribution = self._call_hooks(origin, candidate.load())
        except (Exception, SystemExit) as error:  # whatever a plugin does, the others must work
            text = _one_line(error)
            return PluginRecord(origin, "failed", text, time.perf_counter() - started, Contribution())
        return PluginRecord(origin, "loaded", None, time.perf_counter() - started, contribution)

    def _call_hooks(self, origin: Origin, plugin: Any) -> Contribution:
        others = self._manager.get_plugins()
        if plugin in others:
            return Contribution()  # a second entry point for the same module
        name = f"{origin.distribution}/{origin.plugin}"
        registrar = Registrar(origin)
        try:
            self._manager.register(plugin, name)
            self._refuse_unknown_hooks(plugin)
            self._registry_parts(others, registrar)
        except BaseException:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise
        return registrar.contribution

    def _registry_parts(self, others: set[Any], registrar: Registrar) -> None:
        """The hook `registry_parts`, called on the newest plugin alone so that each registration has one author."""
        self._manager.subset_hook_caller("registry_parts", others)(register=registrar)

    def _refuse_unknown_hooks(self, plugin: Any) -> None:
        known = [name for name in vars(hookspecs) if name.startswith("registry_")]
        for name in dir(plugin):
            if self._manager.parse_hookimpl_opts(plugin, name) is not None and name not in known:
                raise PluginError(f"there is no hook `{name}`; {did_you_mean(name, known)}")
        if not any(self._manager.parse_hookimpl_opts(plugin, name) is not None for name in dir(plugin)):
            hooks = ", ".join(f"`{name}`" for name in known)
            raise PluginError(f"it implements no hook; mark a function called {hooks} with @registry.hookimpl")

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

    @property
    def rule_ids(self) -> set[str]:
        """Every rule of the core and of plugins."""
        return {*RULES, *self.rule_pages}

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

    def former_type(self, kind: str, type_name: str) -> Rename | None:
        """The rename of a type that was given up and is no other part's type now; else None."""
        bare = type_name.rpartition("/")[2]
        if (kind, bare) in self._unique:
            return None
        records = [part for part in self.parts if part.kind == kind]
        if any(part.type == bare for part in records):
            return None
        return next((rename for part in records if (rename := part.former(bare)) is not None), None)

    def categories_named(self, name: str) -> CategoriesRecord:
        """The list of class names of that name; raises as `part` does."""
        return _choose(self.categories, lambda record: record.name, "list of categories", name)

    def spec_class(self, kind: str, type_name: str) -> type[PartSpec]:
        """The spec class of a part, imported on first use.

        Raises:
            UnknownNameError, ConflictError: as `part`.
            PluginError: it cannot be imported, or is not a spec class of that kind.
        """
        record = self.part(kind, type_name)
        if record not in self._spec_classes:
            self._spec_classes[record] = _checked(record, import_attribute(record.spec, record.origin))
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


def _one_line(error: BaseException) -> str:
    """What a plugin raised, whatever it is, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "it cannot say why"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


def import_attribute(path: str, origin: Origin) -> Any:
    """The object at `module:attribute`.

    Raises:
        PluginError: naming the plugin, when the module does not import or lacks the attribute.
        MissingExtraError: unchanged, when the module says that a package is missing.
    """
    module_name, _, attribute = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            value = getattr(value, name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} gives `{path}`, which cannot be used: {type(error).__name__}: {error}") from error
    return value


def _checked(record: PartRecord, found: Any) -> type[PartSpec]:
    """The class behind a part's spec, after proof that it keeps the promises of one."""
    base = _BASES[record.kind]
    label = f"{record.origin} registers `{record.spec}` as the {record.kind} `{record.type}`"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{label}, which is not a subclass of {base.__name__}")
    if found.model_config.get("extra") != "forbid":
        raise PluginError(f"{label}, which does not forbid unknown keys; remove `extra` from its model_config")
    if record.type not in get_args(found.model_fields["type"].annotation):
        raise PluginError(f'{label}, which does not say so; write: type: Literal["{record.type}"] = "{record.type}"')
    return found


def _choose(records: list[R], name_of: Callable[[R], str], what: str, name: str) -> R:
    distribution, _, bare = name.rpartition("/")
    matching = [record for record in records if name_of(record) == bare]
    if distribution:
        matching = [record for record in matching if record.origin.distribution == normal_name(distribution)]
    if not matching or name.startswith("/"):
        prefix = [f"{record.origin.distribution}/" if distribution else "" for record in records]
        if not records:
            raise UnknownNameError(f"unknown {what} `{name}`; no plugin brings a {what}")
        hint = did_you_mean(name, [before + name_of(record) for before, record in zip(prefix, records, strict=True)])
        raise UnknownNameError(f"unknown {what} `{name}`" + (f"; {hint}" if hint else ""))
    if len(set(matching)) > 1:
        providers = ", ".join(str(record.origin) for record in matching)
        choices = " or ".join(f"`{record.origin.distribution}/{bare}`" for record in matching)
        raise ConflictError(f"several plugins provide the {what} `{bare}`: {providers}; write {choices}")
    return matching[0]
