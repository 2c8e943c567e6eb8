"""The library: everything that can be asked about documents without building anything."""

from __future__ import annotations

import fnmatch
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingABC
from pathlib import Path
from typing import Any, Union

from registry.catalog.catalog import Catalog
from registry.catalog.check import Checker
from registry.catalog.documents import Document, read_documents
from registry.catalog.explain import Explanation, explanation
from registry.catalog.files import spec_files
from registry.catalog.merge import merge
from registry.catalog.overrides import Override, apply
from registry.catalog.references import is_path, user_path
from registry.catalog.renames import former_names, given_up
from registry.catalog.resolve import Resolver
from registry.catalog.summary import Summary, summarize
from registry.catalog.validation import Deeper, Validation, each_once
from registry.diagnostics import Diagnostic, SpecError, in_order
from registry.errors import RegistryError, RegistryWarning
from registry.host import PluginHost
from registry.source import Entry, Mapping, Node, Scalar, Source, Span
from registry.source import Sequence as SequenceNode
from registry.specs import PART_KINDS, ModelSpec, Spec, TaskSpec

#: A document by name or path, or a spec in hand.
Reference = Union[str, "os.PathLike[str]", ModelSpec, MappingABC[str, Any]]


#: Parts that a model is built from.
_BUILT_FROM = ("task", "backbone", "head")


class Library:
    """Documents of the catalog and of users' files, resolved and checked. Imports no torch."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self.catalog = Catalog(host)
        self._resolver = Resolver(self.catalog, host)
        self._checker = Checker(host)

    def summaries(self, pattern: str = "*", *, task: str | None = None) -> list[Summary]:
        """Model documents that match a shell pattern, by name or alias, sorted by name.

        Raises:
            UnknownNameError: no plugin brings that task.
        """
        if task is not None:
            self._host.part("task", task)
        found = [
            summary
            for listed, summary in self.catalog.models(self._summary)
            if any(fnmatch.fnmatchcase(name, pattern) for name in listed.names)
        ]
        return sorted((s for s in found if task is None or s.task == task), key=lambda s: (s.name, s.distribution))

    def _summary(self, document: Document) -> Summary:
        try:
            return summarize(document, self._resolver.resolve(document))
        except RegistryError as error:
            return summarize(document, None, str(error))

    def open(self, reference: Reference, kind: str = "model") -> Document:
        """The document that a name, a path, a spec in hand or a mapping means.

        Raises:
            UnknownNameError, ConflictError: nobody, or several, have that name.
            SpecError: the file cannot be read, or does not hold one document of that kind.
            RegistryError: it is something else.
        """
        if isinstance(reference, ModelSpec):
            return self.from_text(json.dumps(self._host.dump(reference)), f"<{reference.name}>", kind)
        if isinstance(reference, MappingABC):
            return self._from_mapping(reference, kind)
        if not isinstance(reference, (str, os.PathLike)):
            raise RegistryError(f"a {kind} is a name, a path, a spec or a mapping, not a {type(reference).__name__}")
        text = os.fspath(reference)
        if isinstance(reference, str) and not is_path(text):
            rename = self.catalog.former(kind, text)
            if rename is not None:
                told = given_up(text, rename, Span(Source(text), 1, 1, 1, len(text) + 1))
                warnings.warn(told.text, RegistryWarning, stacklevel=4)
            return self.catalog.named(kind, text)
        return self.catalog.in_file(kind, user_path(text))

    def _from_mapping(self, data: MappingABC[str, Any], kind: str) -> Document:
        """A document that is written in Python; a kind and a name need not be given."""
        try:
            text = json.dumps({"kind": kind, "name": f"unnamed_{kind}", **data})
        except (TypeError, ValueError, RecursionError) as error:
            raise RegistryError(f"a document holds texts, numbers, lists and mappings alone: {error}") from error
        return self.from_text(text, "<mapping>", kind)

    def from_text(self, text: str, name: str, kind: str = "model") -> Document:
        """The one document of a YAML or JSON text, such as a checkpoint's; raises SpecError as `open` does."""
        documents, diagnostics = read_documents(name, data=text.encode())
        wrong = [d for d in documents if d.kind != kind]
        if diagnostics or wrong or len(documents) != 1:
            where = Span(Source(name, text), 1, 1, 1, 1)
            raise SpecError(diagnostics or [Diagnostic("REG108", "error", f"one {kind} document was expected", where)])
        return documents[0]

    def resolve(self, document: Document) -> Mapping:
        """The document with all it inherits and every named part written out.

        Raises:
            SpecError: a name or circle that leads nowhere.
        """
        return self._resolver.resolve(document)

    def overridden(self, document: Document, root: Mapping, overrides: Sequence[Override]) -> Mapping:
        """A resolved document with overrides laid over it in their order.

        Raises:
            SpecError: an override that leads nowhere.
        """
        if document.kind == "model" and any(override.path[0] in _BUILT_FROM for override in overrides):
            root = root.without("figures")  # which were published for another model
        for override in overrides:
            if document.kind == "model" and len(override.path) == 1 and override.path[0] in PART_KINDS:
                entry = Entry(override.path_span, override.node)
                layer = Mapping({override.path[0]: entry}, override.path_span)
                # a path typed in an override starts in the working folder, wherever the model was shipped, and may lead
                # anywhere, as the path of a model may
                typed = Document(document.kind, document.name, layer, Path(Path.cwd().anchor))
                root = self._resolver.lay(root, layer, typed)
            else:
                root = apply(root, override)
        return root

    def with_weights(self, root: Mapping, place: Sequence[str]) -> Mapping:
        """A resolved model with the settings that travel with some of its weights.

        Args:
            place: keys that lead to them. What a backbone alone starts from changes the backbone only.
        """
        for part in ("backbone",) if place[0] == "backbone_weights" else ("task", "backbone"):
            settings: Node | None = root
            for key in (*place, part):
                settings = settings.get(key) if isinstance(settings, Mapping) else None
            entry = root.entries.get(part)
            if settings is not None and entry is not None:
                root = Mapping({**root.entries, part: Entry(entry.key_span, merge(entry.node, settings))}, root.span)
        return root

    def fit_categories(self, root: Mapping, num_classes: int) -> Mapping:
        """A resolved model without its class names, if they are not as many as the classes asked for."""
        task = root.get("task")
        node = task.get("categories") if isinstance(task, Mapping) else None
        count: int | None = None
        if isinstance(node, SequenceNode):
            count = len(node.items)
        elif isinstance(node, Scalar) and isinstance(node.value, str):
            try:
                count = len(self._checker.categories_named(node.value))
            except RegistryError:
                return root
        if count is None or count == num_classes or not isinstance(task, Mapping):
            return root
        return Mapping({**root.entries, "task": Entry(task.span, task.without("categories"))}, root.span)

    def check(self, document: Document, root: Mapping) -> tuple[Spec, tuple[Diagnostic, ...]]:
        """The typed spec of a resolved document, and its warnings.

        Raises:
            SpecError: with every diagnostic, when any is an error.
        """
        spec, diagnostics = self._checker.check(document, root)
        if spec is None:
            raise SpecError(d for d in diagnostics if d.severity != "note")
        diagnostics += former_names(document, self.catalog, self._host)
        return spec, in_order(diagnostics)

    def categories(self, task: TaskSpec) -> tuple[str, ...] | None:
        """Class names of a task in the order of the outputs, or None.

        Raises:
            UnknownNameError, ConflictError: no plugin, or several, register the list it names.
        """
        return self._checker.categories(task)

    def explain(self, document: Document, overrides: Sequence[Override] = ()) -> Explanation:
        """Every setting of a document with the place that set it.

        Raises:
            SpecError: the document is not valid.
        """
        root = self.overridden(document, self.resolve(document), overrides)
        spec, _ = self.check(document, root)
        return explanation(document.kind, document.name, root, spec)

    def validation(self, deeper: Deeper | None = None) -> Validation:
        """A run over files and documents, whose names must differ from one another's.

        Args:
            deeper: looks further at each document that is right so far.
        """
        return Validation(self.catalog, self._resolver, self._checker, self._host, deeper)

    def validate_files(self, paths: Iterable[str | os.PathLike[str]]) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the documents of some files and folders."""
        run = self.validation()
        return each_once([diagnostic for file in spec_files(paths) for diagnostic in run.file(file)])

    def validate_text(self, data: bytes, name: str) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the documents of a text, such as standard input."""
        return each_once(self.validation().text(data, name))

    def validate_catalog(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the documents that plugins ship."""
        return each_once([*self.catalog.diagnostics, *self.validation().documents(self.catalog.documents)])
