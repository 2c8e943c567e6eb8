"""The catalog: which documents there are, and which one a reference means."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from registry.catalog.documents import KINDS, Document, read_documents
from registry.catalog.index import IndexFile, Listed, catalog_files
from registry.catalog.references import inside, is_path
from registry.catalog.summary import Summary
from registry.diagnostics import Diagnostic, SpecError, errors
from registry.errors import ConflictError, UnknownNameError
from registry.host import PluginHost
from registry.host.names import Former, choices, only_rename, split
from registry.host.records import Origin
from registry.source import Source, Span
from registry.specs import Rename
from registry.suggest import did_you_mean


class OutsideError(UnknownNameError):
    """A path that leaves the folder its document may refer into."""


class Catalog:
    """Every document that plugins ship, by kind and name; users' files are read when a path asks for them."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._parents = _Parents()
        self._index_file = IndexFile(host)
        #: What was read of each file, whether for itself or with all others.
        self._by_file: dict[str, tuple[list[Document], list[Diagnostic]]] = {}

    @cached_property
    def _read(self) -> tuple[list[Document], list[Diagnostic]]:
        documents: list[Document] = []
        diagnostics: list[Diagnostic] = []
        for record in dict.fromkeys(self._host.catalogs):  # a folder that two plugins register is read once
            for file in catalog_files(record):
                found, wrong = read_documents(file, root=record.folder, origin=record.origin)
                self._by_file[str(file)] = found, wrong
                documents += found
                diagnostics += wrong
        return documents, diagnostics

    @property
    def documents(self) -> list[Document]:
        """Every readable document, in the order of plugins and files."""
        return self._read[0]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What is wrong with catalog files that could not be read."""
        return self._read[1]

    @cached_property
    def listed(self) -> list[Listed]:
        """What is known of every readable document without reading it, in the same order."""
        known = self._index_file.read()
        if known is None:
            known = [Listed.of(document) for document in self.documents]
            self._index_file.write(known)
        return known

    def models(self, summarize: Callable[[Document], Summary]) -> list[tuple[Listed, Summary]]:
        """Every model with its summary, made where nobody asked for one before."""
        if any(one.kind == "model" and one.summary is None for one in self.listed):
            self.listed = [
                one._replace(summary=summarize(self.document(one))) if one.kind == "model" else one
                for one in self.listed
            ]
            self._index_file.write(self.listed)
        return [(one, one.summary) for one in self.listed if one.summary is not None]

    def document(self, listed: Listed) -> Document:
        """The document itself.

        Raises:
            SpecError: its file changed in between, and cannot be read any more.
            UnknownNameError: or holds it no longer.
        """
        if listed.file not in self._by_file:
            self._by_file[listed.file] = read_documents(listed.file, root=listed.root, origin=listed.origin)
        documents, diagnostics = self._by_file[listed.file]
        for document in documents:
            if (document.kind, document.name) == (listed.kind, listed.name):
                return document
        if errors(diagnostics):
            raise SpecError(diagnostics)
        raise UnknownNameError(self._unknown(listed.kind, listed.name))

    def former(self, kind: str, name: str) -> Rename | None:
        """The rename of a document's name that was given up and is no document's now; else None."""
        if not self._former:
            return None
        distribution, bare = split(name)
        owners = [_distribution(listed) for listed in self._index.get((kind, bare), ())]
        return only_rename(distribution, self._former.get((kind, bare), ()), owners)

    @property
    def renames(self) -> bool:
        """Whether any document gave up a name."""
        return bool(self._former)

    @cached_property
    def _former(self) -> dict[tuple[str, str], list[Former]]:
        former: dict[tuple[str, str], list[Former]] = {}
        for listed in self.listed:
            for old, until in listed.former.items():
                rename = Rename(listed.name, until)
                former.setdefault((listed.kind, old), []).append((_distribution(listed), rename))
        return former

    @cached_property
    def _index(self) -> dict[tuple[str, str], list[Listed]]:
        index: dict[tuple[str, str], list[Listed]] = {}
        for listed in self.listed:
            for name in dict.fromkeys(listed.names):
                index.setdefault((listed.kind, name), []).append(listed)
        return index

    def names(self, kind: str) -> list[str]:
        """Names and aliases of every document of a kind, sorted."""
        return sorted(name for known, name in self._index if known == kind)

    def providers(self, kind: str, name: str) -> list[Listed]:
        """Every document that answers to a name, or to `distribution/name`."""
        distribution, bare = split(name)
        rename = self.former(kind, name)
        found = self._index.get((kind, bare if rename is None else rename.name), [])
        return [listed for listed in found if distribution in ("", _distribution(listed))]

    def named(self, kind: str, name: str, by: Origin | None = None) -> Document:
        """The document of that kind and name or alias; `distribution/name` chooses between several.

        Args:
            by: the plugin whose document says so; where several have the name, its own distribution's comes first.

        Raises:
            UnknownNameError: no document has that name.
            ConflictError: documents of several plugins have it.
            SpecError: as `document`.
        """
        found = self.providers(kind, name)
        if by is not None and len(found) > 1:
            found = [listed for listed in found if _distribution(listed) == by.distribution] or found
        if not found:
            raise UnknownNameError(self._unknown(kind, name))
        if len(found) > 1:
            bare = split(name)[1]
            told = ", ".join(f"{listed.origin} in {listed.file}" for listed in found)
            hint = choices([listed.origin for listed in found if listed.origin is not None], bare)
            raise ConflictError(f"several {kind} documents answer to `{bare}`: {told}; {hint}")
        return self.document(found[0])

    def in_file(self, kind: str, path: str | Path) -> Document:
        """The one document of a kind in a user's file.

        Raises:
            SpecError: the file cannot be read, or holds none or several of that kind.
        """
        documents, diagnostics = read_documents(path)
        if errors(diagnostics):
            raise SpecError(diagnostics)
        return _only(documents, kind, path)

    def refer(self, kind: str, reference: str, by: Document) -> Document:
        """The document that `by` means by a name, or by a path relative to its own folder.

        Raises:
            UnknownNameError, ConflictError: as `named`.
            SpecError: as `in_file`, or the path leaves the folder that `by` may refer into.
        """
        if not is_path(reference):
            return self.named(kind, reference, by.origin)
        path = inside(reference, Path(by.file).resolve().parent, by.root)
        if path is None:
            raise OutsideError(f"the path `{reference}` leaves {by.root}")
        documents, diagnostics = self._parents.read(path, by)
        if errors(diagnostics):
            raise SpecError(diagnostics)
        return _only(documents, kind, path)

    def _unknown(self, kind: str, name: str) -> str:
        text = f"unknown {kind} `{name}`"
        elsewhere = [other for other in KINDS if other != kind and (other, name) in self._index]
        if elsewhere:
            return f"{text}; there is {'an' if elsewhere[0] == 'export' else 'a'} {elsewhere[0]} of that name"
        types = [part.type for part in self._host.parts if part.kind == kind]
        hint = did_you_mean(name, [*self.names(kind), *types])
        return f"{text}; {hint}" if hint else text


class _Parents:
    """Users' files that others extend, read once while they stay as they are; the least used are forgotten."""

    _MOST = 256

    def __init__(self) -> None:
        self._kept: OrderedDict[object, tuple[list[Document], list[Diagnostic]]] = OrderedDict()

    def read(self, path: Path, by: Document) -> tuple[list[Document], list[Diagnostic]]:
        """The documents of a file as one of them in `by.root` sees them."""
        try:
            seen = os.stat(path)
        except OSError:
            return read_documents(path, root=by.root, origin=by.origin)  # which says why
        key = (path, by.root, by.origin, os.getcwd(), seen.st_mtime_ns, seen.st_size, seen.st_ino)
        found = self._kept.pop(key, None) or read_documents(path, root=by.root, origin=by.origin)
        self._kept[key] = found
        if len(self._kept) > self._MOST:
            self._kept.popitem(last=False)
        return found


def _distribution(listed: Listed) -> str:
    return listed.origin.distribution if listed.origin is not None else ""


def _only(documents: list[Document], kind: str, path: str | Path) -> Document:
    matching = [document for document in documents if document.kind == kind]
    if len(matching) != 1:
        where = matching[1].name_span if matching else Span(Source(str(path)), 1, 1, 1, 1)
        found = f"{len(matching)} {kind} documents" if matching else f"no {kind} document"
        raise SpecError([Diagnostic("REG108", "error", f"the file holds {found}; one was expected", where)])
    return matching[0]
