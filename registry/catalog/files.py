"""Users' files: which of them hold documents, and whether their names are free."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from registry.catalog.catalog import Catalog
from registry.catalog.documents import YAML_SUFFIXES, Document
from registry.diagnostics import Diagnostic, Related
from registry.source import Source, Span

_YAML_IN_FOLDERS = tuple(suffix for suffix in YAML_SUFFIXES if suffix != ".json")


def spec_files(paths: Iterable[str | os.PathLike[str]], *, exclude: Iterable[str] = ()) -> Iterator[Path]:
    """Each file, and every `*.yaml` and `*.yml` below each folder, sorted, hidden folders left out; none twice.

    Args:
        exclude: shell patterns of paths below a folder that are left out, matched against the path from that folder and
            against each name on it.
    """
    patterns, seen = tuple(exclude), set()
    for path in paths:
        start = Path(path)
        for file in _below(start, patterns) if os.path.isdir(start) else [start]:
            real = _real(file)
            if real not in seen:
                seen.add(real)
                yield file


def _below(start: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for folder, folders, files in os.walk(start):
        inside = os.path.relpath(folder, start)

        def left_out(name: str, inside: str = inside) -> bool:
            path = os.path.normpath(os.path.join(inside, name)).replace(os.sep, "/")
            return any(fnmatch.fnmatchcase(path, p.rstrip("/")) or fnmatch.fnmatchcase(name, p) for p in patterns)

        folders[:] = sorted(name for name in folders if not name.startswith(".") and not left_out(name))
        yield from (
            Path(folder, name) for name in sorted(files) if name.endswith(_YAML_IN_FOLDERS) and not left_out(name)
        )


class TakenNames:
    """The names and aliases that documents have: the catalog's, and those that were asked about before."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        #: Who has a name, and where it stands; without the text of the file.
        self._seen: dict[tuple[str, str], tuple[str, Span]] = {}

    def conflicts(self, document: Document) -> Iterator[Diagnostic]:
        """What is wrong with the names of one more document."""
        for name in dict.fromkeys(document.names):
            span = document.span_of(name)
            others = [self._seen[document.kind, name]] if (document.kind, name) in self._seen else []
            others += [
                (str(other.origin) if other.origin is not None else other.file, other.span_of(name))
                for other in self._catalog.providers(document.kind, name)
                if not _same_file(other, document)
            ]
            self._seen.setdefault((document.kind, name), (document.file, span._replace(source=Source(span.file))))
            if others:
                owner, where = others[0]
                text = f"the {document.kind} name `{name}` is taken by {owner}"
                note = Related("the other document", where)
                yield Diagnostic("REG110", "error", text, span, "choose another name", (note,))


def _same_file(one: Document, other: Document) -> bool:
    return _real(one.file) == _real(other.file)


def _real(path: str | os.PathLike[str]) -> str:
    """The path with links followed; one that cannot be, such as one with a NUL, unchanged."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return os.fspath(path)
