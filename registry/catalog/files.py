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
from registry.source import Span

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
        chosen = [name for name in sorted(files) if name.endswith(_YAML_IN_FOLDERS) and not left_out(name)]
        yield from (path for name in chosen if _stays_inside(path := Path(folder, name), start))


def _stays_inside(path: Path, start: Path) -> bool:
    """False for a link that leads out of the folder: a report would show lines of a file that nobody named."""
    return not path.is_symlink() or Path(_real(path)).is_relative_to(_real(start))


class Named(NamedTuple):
    """The names and aliases of a document, and where each stands."""

    kind: str
    file: str
    spans: dict[str, Span]

    @classmethod
    def of(cls, document: Document) -> Named:
        """Those of a document."""
        return cls(document.kind, document.file, document.name_spans)

    def without_text(self) -> Named:
        """The same, which keeps no text in memory."""
        return self._replace(spans={name: span.without_text() for name, span in self.spans.items()})


class TakenNames:
    """The names and aliases that documents have: the catalog's, and those that were asked about before."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        #: Who has a name, and where it stands; without the text of the file.
        self._seen: dict[tuple[str, str], tuple[str, Span]] = {}

    def take(self, named: Named) -> dict[str, tuple[str, Span]]:
        """Notes the names of one more document, and returns those that another has, with who has them and where."""
        owners = {name: self._owner(named, name) for name in named.spans}
        taken = {name: owner for name, owner in owners.items() if owner is not None}
        for name, span in named.spans.items():
            self._seen.setdefault((named.kind, name), (named.file, span.without_text()))
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
            return seen
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
