"""Users' files: which of them hold documents, and whether their names are free."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from registry.catalog.catalog import Catalog
from registry.catalog.documents import YAML_SUFFIXES, Document
from registry.diagnostics import Diagnostic, Related

_YAML_IN_FOLDERS = tuple(suffix for suffix in YAML_SUFFIXES if suffix != ".json")


def spec_files(path: str | os.PathLike[str]) -> list[Path]:
    """A file itself, or every `*.yaml` and `*.yml` below a folder, sorted, hidden folders left out."""
    start = Path(path)
    if not os.path.isdir(start):
        return [start]
    found: list[Path] = []
    for folder, folders, files in os.walk(start):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(files) if name.endswith(_YAML_IN_FOLDERS)]
    return found


def name_conflicts(documents: Iterable[Document], catalog: Catalog) -> Iterator[Diagnostic]:
    """Names and aliases that another document has, in the catalog or among `documents` themselves."""
    seen: dict[tuple[str, str], Document] = {}
    for document in documents:
        for name in dict.fromkeys(document.names):
            others = [seen[document.kind, name]] if (document.kind, name) in seen else []
            others += [d for d in catalog.providers(document.kind, name) if not _same_file(d, document)]
            seen.setdefault((document.kind, name), document)
            if others:
                owner = str(others[0].origin) if others[0].origin is not None else others[0].file
                yield Diagnostic(
                    "REG110",
                    "error",
                    f"the {document.kind} name `{name}` is taken by {owner}",
                    document.span_of(name),
                    "choose another name",
                    (Related("the other document", others[0].span_of(name)),),
                )


def _same_file(one: Document, other: Document) -> bool:
    return os.path.realpath(one.file) == os.path.realpath(other.file)
