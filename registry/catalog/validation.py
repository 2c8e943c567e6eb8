"""Validating many documents one file after the other, so that memory does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from registry.catalog.catalog import Catalog
from registry.catalog.check import Checker
from registry.catalog.documents import Document, read_documents
from registry.catalog.files import TakenNames
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

    def file(self, path: str | os.PathLike[str]) -> list[Diagnostic]:
        """Everything that is wrong with the documents of a file."""
        documents, unreadable = read_documents(Path(path))
        return [*unreadable, *self.documents(documents)]

    def text(self, data: bytes, name: str) -> list[Diagnostic]:
        """Everything that is wrong with the documents of a text that has no file."""
        documents, unreadable = read_documents(name, data=data)
        return [*unreadable, *self.documents(documents)]

    def documents(self, documents: Iterable[Document]) -> Iterator[Diagnostic]:
        """Everything that is wrong with some documents, names included."""
        for document in documents:
            yield from self._taken.conflicts(document)
            yield from former_names(document, self._catalog, self._host)
            try:
                root = self._resolver.resolve(document)
                spec, found = self._checker.check(document, root)
            except SpecError as error:
                yield from error.diagnostics
                continue
            yield from found
            if spec is None:
                continue
            yield from stale_weights(document, spec, root, self._resolver, self._checker)
            if self._deeper is not None:
                yield from self._checker.placed(document, root, spec, self._deeper(spec))


def each_once(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted, and a mistake that several documents inherit only once, as its own file tells it where that was read too."""
    kept: dict[object, Diagnostic] = {}
    for diagnostic in sorted(diagnostics, key=lambda d: len(d.related)):
        kept.setdefault((diagnostic.rule, diagnostic.message, diagnostic.span), diagnostic)
    return in_order(kept.values())
