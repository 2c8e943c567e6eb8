"""Users' files: which of them hold documents, and whether their names are free."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from registry.catalog.catalog import Catalog
from registry.catalog.documents import YAML_SUFFIXES, Document
from registry.diagnostics import Diagnostic, Related
from registry.source import Source, Span

_YAML_IN_FOLDERS = tuple(suffix for suffix in YAML_SUFFIXES if suffix != ".json")


def spec_files(paths: Iterable[str | os.PathLike[str]], *, exclude: Iterable[str] = ()) -> Iterator[Path]:
    """Each file, and every `*.yaml` and `*.yml` below each folder, sorted, hidden folders and links that lead out left out;
    none twice.

    Args:
        exclude: shell patterns of paths below a folder that are left out, matched against the path from that folder and
            against each name on it.
    """
    patterns, seen = tuple(exclude), set()
    for path in paths:
        start = Path(path)
        for file, real in _below(start, patterns) if os.path.isdir(start) else [(start, _real(start))]:
            if real not in seen:
                seen.add(real)
                yield file


def _below(start: Path, patterns: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """The files of a folder at any depth, each with its path after links."""
    inside = _real(start)
    waiting = [(os.fspath(start), inside)]
    while waiting:
        folder, real = waiting.pop()
        entries = _entries(folder)
        if patterns:
            entries = [entry for entry in entries if not _left_out(entry, start, patterns)]
        for entry in entries:
            if entry.name.endswith(_YAML_IN_FOLDERS) and not _is_folder(entry):
                target = _real(entry.path) if entry.is_symlink() else os.path.join(real, entry.name)
                # a report would show lines of a file outside that nobody named
                if not entry.is_symlink() or Path(target).is_relative_to(inside):
                    yield Path(folder, entry.name), target
        folders = [e for e in entries if not e.name.startswith(".") and _is_folder(e) and not e.is_symlink()]
        waiting += [(entry.path, os.path.join(real, entry.name)) for entry in reversed(folders)]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _left_out(entry: os.DirEntry[str], start: Path, patterns: tuple[str, ...]) -> bool:
    path = os.path.relpath(entry.path, start).replace(os.sep, "/")
    return any(fnmatch.fnmatchcase(path, p.rstrip("/")) or fnmatch.fnmatchcase(entry.name, p) for p in patterns)


class Named(NamedTuple):
    """The names and aliases of a document, and where each stands."""

    kind: str
    file: str
    spans: dict[str, Span]

    @classmethod
    def of(cls, document: Document) -> Named:
        """Those of a document."""
        return cls(document.kind, document.file, document.name_spans)

    def packed(self) -> tuple[str, str, dict[str, tuple[int, int, int, int]]]:
        """The same as plain data, without texts."""
        return self.kind, self.file, {name: span.numbers() for name, span in self.spans.items()}

    @classmethod
    def unpacked(cls, packed: tuple[str, str, dict[str, tuple[int, int, int, int]]]) -> Named:
        """What was packed."""
        kind, file, places = packed
        source = Source(file)
        return cls(kind, file, {name: Span(source, *numbers) for name, numbers in places.items()})


class TakenNames:
    """The names and aliases that documents have: the catalog's, and those that were asked about before."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        #: Who has a name, and where it stands: as little as tells that, for this is kept of every file.
        self._seen: dict[tuple[str, str], tuple[str, tuple[int, int, int, int]]] = {}

    def take(self, named: Named) -> dict[str, tuple[str, Span]]:
        """Notes the names of one more document, and returns those that another has, with who has them and where."""
        owners = {name: self._owner(named, name) for name in named.spans}
        taken = {name: owner for name, owner in owners.items() if owner is not None}
        for name, span in named.spans.items():
            self._seen.setdefault((named.kind, name), (named.file, span.numbers()))
        return taken

    @staticmethod
    def conflict(named: Named, name: str, owner: tuple[str, Span]) -> Diagnostic:
        """What is told of a name that `take` returned."""
        text = f"the {named.kind} name `{name}` is taken by {owner[0]}"
        note = Related("the other document", owner[1])
        return Diagnostic("REG110", "error", text, named.spans[name], "choose another name", (note,))

    def _owner(self, named: Named, name: str) -> tuple[str, Span] | None:
        seen = self._seen.get((named.kind, name))
        if seen is not None:
            return seen[0], Span(Source(seen[0]), *seen[1])
        if self._catalog.former(named.kind, name) is not None:
            return None  # whoever gave it up
        for other in self._catalog.providers(named.kind, name):
            if _real(other.file) != _real(named.file):
                document = self._catalog.document(other)
                return str(other.origin) if other.origin is not None else other.file, document.span_of(name)
        return None


def _real(path: str | os.PathLike[str]) -> str:
    """The path with links followed; one that cannot be, such as one with a NUL, unchanged."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return os.fspath(path)
