"""What checks look at: a plugin, a part that it registers, a document that it ships."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from registry.catalog import Document
from registry.errors import RegistryError
from registry.host import PluginRecord
from registry.host.records import PartRecord
from registry.specs import PartSpec, Spec

if TYPE_CHECKING:
    from registry.registry import Registry
    from registry.testing.kit import Kit


@dataclass(frozen=True, eq=False)
class Subject:
    """What a check is given."""

    kit: Kit

    @property
    def registry(self) -> Registry:
        """The registry that it belongs to."""
        return self.kit.registry

    @property
    def label(self) -> str:
        """What outcomes call it, such as `head my_head`."""
        raise NotImplementedError

    @property
    def groups(self) -> frozenset[str]:
        """Which checks look at it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class PluginSubject(Subject):
    """A plugin as a whole."""

    record: PluginRecord

    @property
    def label(self) -> str:
        """`plugin` and its name."""
        return f"plugin {self.record.origin.plugin}"

    @property
    def groups(self) -> frozenset[str]:
        """`plugin`."""
        return frozenset({"plugin"})


@dataclass(frozen=True, eq=False)
class PartSubject(Subject):
    """A registered part."""

    record: PartRecord

    @property
    def label(self) -> str:
        """Its kind and type."""
        return f"{self.record.kind} {self.record.type}"

    @property
    def groups(self) -> frozenset[str]:
        """Its kind, and `part`."""
        return frozenset({self.record.kind, "part"})

    @property
    def spec_class(self) -> type[PartSpec]:
        """Its spec class; raises PluginError where that cannot be used."""
        return self.registry.host.spec_class(self.record.kind, self.type_name)

    @property
    def type_name(self) -> str:
        """The type as documents write it where several distributions have one of that name."""
        kind, name = self.record.kind, self.record.type
        try:
            self.registry.host.part(kind, name)
        except RegistryError:
            return f"{self.record.origin.distribution}/{name}"
        return name

    @functools.cached_property
    def samples(self) -> list[PartSpec]:
        """Different specs of it: the given one, those in models, the smallest first, those in documents, else its defaults."""
        found = self.given()
        for spec in self.kit.models_using(self.record):
            found += [part for _, part in spec.parts() if part.kind == self.record.kind]
        for document in self.kit.documents:
            if document.kind == self.record.kind and document.text("type").rpartition("/")[2] == self.record.type:
                spec_of = self.kit.spec_of(document)
                found += [spec_of] if isinstance(spec_of, PartSpec) else []
        if not found:
            found += self._default()
        kept: list[PartSpec] = []
        for sample in found:
            if sample not in kept:
                kept.append(sample)
        return kept

    @property
    def id(self) -> str:
        """By which `settings` and `skip` know it."""
        return f"{self.record.kind}-{self.record.type}"

    def given(self) -> list[PartSpec]:
        """The spec of the settings that were given for it, if any.

        Raises:
            RegistryError: they are not valid.
        """
        settings = self.kit.settings.get(self.id)
        if settings is None:
            return []
        try:
            return [self.spec_class.model_validate({"type": self.record.type, **settings})]
        except ValidationError as error:
            found = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors())
            raise RegistryError(f"settings of `{self.id}`: {found}") from error

    def _default(self) -> list[PartSpec]:
        try:
            return [self.spec_class.model_validate({"type": self.record.type})]
        except ValidationError:  # it has settings without a default
            return []

    def data(self, spec: PartSpec) -> dict[str, Any]:
        """A spec of the part as plain data, as a document writes it."""
        return {**spec.model_dump(mode="json"), "type": self.type_name}


@dataclass(frozen=True, eq=False)
class DocumentSubject(Subject):
    """A document that the plugin ships."""

    document: Document

    @property
    def label(self) -> str:
        """Its kind and name."""
        return f"{self.document.kind} {self.document.name}"

    @property
    def groups(self) -> frozenset[str]:
        """`document`, and what it describes for kinds that can be measured."""
        described = {"model": {"model", "measurable"}, "backbone": {"measurable"}}
        return frozenset({"document", *described.get(self.document.kind, ())})

    @property
    def spec(self) -> Spec | None:
        """Its spec, or None where it is not valid."""
        return self.kit.spec_of(self.document)
