"""Validating many documents one file after the other, so that memory does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from registry.catalog.catalog import Catalog
from registry.catalog.check import Checker
from registry.catalog.documents import Document, read_documents, root_of, shown_folder
from registry.catalog.files import Named, TakenNames
from registry.catalog.renames import former_names
from registry.catalog.resolve import Resolver
from registry.catalog.stale_weights import stale_weights
from registry.diagnostics import Diagnostic, SpecError, in_order
from registry.host import PluginHost
from registry.specs import Finding, Spec

#: What looks further at the spec of a document.
Deeper = Callable[[Spec], Iterable[Finding]]


class Validation:
    """One run over some documents. What it remembers of a document that is right is its names."""

    def __init__(
        self,
        catalog: Catalog,
        resolver: Resolver,
        checker: Checker,
        host: PluginHost,
        deeper: Deeper | None = None,
    ) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._checker = checker
        self._host = host
        self._deeper = deeper
        self._taken = TakenNames(catalog)
        #: What the files of each folder may refer into, and how the folder is called in messages.
        self._folders: dict[str, tuple[Path, str | None]] = {}

    def file(self, path: str | os.PathLike[str]) -> list[Diagnostic]:
        """Everything that is wrong with the documents of a file."""
        documents, unreadable = self._read(path)
        return [*unreadable, *self.documents(documents)]

    def file_alone(self, path: str | os.PathLike[str]) -> tuple[list[Diagnostic], list[Named]]:
        """What is wrong with the documents of a file whatever other documents are called, and their own names."""
        documents, unreadable = self._read(path)
        found = [diagnostic for document in documents for diagnostic in self._document(document)]
        return [*unreadable, *found], [Named.of(document) for document in documents]

    def conflicts(self, path: str | os.PathLike[str], named: Sequence[Named]) -> Iterator[Diagnostic]:
        """What is wrong with the names that the documents of a file have, which is read again only for a message."""
        for index, (one, taken) in enumerate([(one, self._taken.take(one)) for one in named]):
            if taken:
                documents = self._read(path)[0]
                whole = Named.of(documents[index]) if index < len(documents) else one
                for name, owner in taken.items():
                    yield self._taken.conflict(whole if name in whole.spans else one, name, owner)

    def _read(self, path: str | os.PathLike[str]) -> tuple[list[Document], list[Diagnostic]]:
        path = os.fspath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            try:
                self._folders[folder] = root_of(Path(path)), shown_folder(folder)
            except (OSError, RuntimeError, ValueError):  # a circle of links, or no path: reading tells
                return read_documents(path)
        root, shown = self._folders[folder]
        if shown is None or name in ("", ".", ".."):
            return read_documents(path, root=root)
        return read_documents(path, root=root, name=os.path.join(shown, name))

    def text(self, data: bytes, name: str) -> list[Diagnostic]:
        """Everything that is wrong with the documents of a text that has no file."""
        documents, unreadable = read_documents(name, data=data)
        return [*unreadable, *self.documents(documents)]

    def documents(self, documents: Iterable[Document]) -> Iterator[Diagnostic]:
        """Everything that is wrong with some documents, names included."""
        for document in documents:
            named = Named.of(document)
            yield from [self._taken.conflict(named, *taken) for taken in self._taken.take(named).items()]
            yield from self._document(document)

    def _document(self, document: Document) -> Iterator[Diagnostic]:
        yield from former_names(document, self._catalog, self._host)
        try:
            root = self._resolver.resolve(document)
            spec, found = self._checker.check(document, root)
        except SpecError as error:
            yield from error.diagnostics
            return
        yield from found
        if spec is None:
            return
        yield from stale_weights(document, spec, root, self._resolver, self._checker)
        if self._deeper is not None:
            yield from self._checker.placed(document, root, spec, self._deeper(spec))


def each_once(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted, and a mistake that several documents inherit only once, as its own file tells it where that was read too."""
    kept: dict[object, Diagnostic] = {}
    for diagnostic in sorted(diagnostics, key=lambda d: len(d.related)):
        kept.setdefault((diagnostic.rule, diagnostic.message, diagnostic.span), diagnostic)
    return in_order(kept.values())
