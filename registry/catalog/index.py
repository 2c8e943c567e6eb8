"""What is known of the documents that plugins ship without reading them, kept in the user's cache folder.

An index holds for one set of files: their paths, sizes and times, and the plugins and parts they belong to. Where any of these
differs, or the file is not what was written, it counts as absent.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from registry.cache_root import cache_root
from registry.catalog.documents import YAML_SUFFIXES, Document
from registry.catalog.summary import Summary
from registry.host import CatalogRecord, PluginHost
from registry.host.records import Origin

#: Changes whenever an index is written or made in another way.
_FORMAT = 2
#: How many indices are kept, each for another set of plugins.
_MOST = 8


class Listed(NamedTuple):
    """What is known of a document.

    Attributes:
        names: its name, then its aliases.
        former: names that it gave up, each with the release that reads it no longer.
        root: folder that paths in the document must not leave.
        summary: its line in a listing, once somebody asked for one; None for what is no model.
    """

    kind: str
    names: tuple[str, ...]
    former: dict[str, str]
    file: str
    root: Path
    origin: Origin | None
    summary: Summary | None = None

    @classmethod
    def of(cls, document: Document) -> Listed:
        """What is known of a document that was read."""
        former = {old: rename.until for old, rename in document.former.items()}
        return cls(document.kind, document.names, former, document.file, document.root, document.origin)

    @property
    def name(self) -> str:
        """Its name."""
        return self.names[0]

    def is_same(self, other: Listed) -> bool:
        """Whether both are one document, its summary made yet or not."""
        return self._replace(summary=None) == other._replace(summary=None)


def catalog_files(record: CatalogRecord) -> Iterator[Path]:
    """The files of a folder of documents, at any depth, sorted."""
    return iter(sorted(Path(path) for path, _ in _scan(os.fspath(record.folder))))


class IndexFile:
    """The index of the documents that some plugins ship, on disk.

    Nothing is kept for plugins that are given in Python: they are too short-lived. A folder that cannot be written is no
    error: then everything is read anew each time.
    """

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._kept = all(plugin.origin.distribution != "local" for plugin in host.plugins)
        self._records = list(dict.fromkeys(host.catalogs))

    @cached_property
    def _files(self) -> list[tuple[str, CatalogRecord, tuple[int, ...]]]:
        """Every file with its folder, size and times, as it was when somebody asked first: before any was read."""
        return [(path, r, stamp) for r in self._records for path, stamp in sorted(_scan(os.fspath(r.folder)))]

    @cached_property
    def _key(self) -> str:
        own = [str(_stamp(os.stat(module))) for module in (__file__, Path(__file__).with_name("summary.py"))]
        parts = [f"{p.kind} {p.type} {p.spec_name} {p.renames} {p.origin}" for p in self._host.parts]
        files = [f"{path} {record.origin} {stamp}" for path, record, stamp in self._files]
        return "\n".join([f"format {_FORMAT}", *own, *parts, *files])

    def read(self) -> list[Listed] | None:
        """What was written for exactly these files and plugins, or None."""
        path = self._path()
        if path is None:
            return None
        key = self._key  # of the files as they are now, before any of them is read
        try:
            kept = json.loads(path.read_bytes())
            if kept["key"] != key or kept["sum"] != _sum(kept["documents"]):
                return None
            return [self._listed(entry) for entry in kept["documents"]]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None  # stale, damaged, or from another release

    def write(self, listed: Sequence[Listed]) -> None:
        """Keeps what is known now, if the folder can be written."""
        path = self._path()
        if path is None:
            return
        numbers = {file: number for number, (file, _, _) in enumerate(self._files)}
        from registry.files import write_atomically  # and with it much that reading needs not

        with contextlib.suppress(OSError, KeyError):  # a file that came in between is known next time
            documents = json.loads(json.dumps([_entry(one, numbers[one.file]) for one in listed]))
            data = {"key": self._key, "sum": _sum(documents), "documents": documents}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(data, separators=(",", ":")).encode())
            _forget_oldest(path.parent)

    def _path(self) -> Path | None:
        if not self._kept:
            return None
        try:
            name = "\n".join(f"{record.folder} {record.origin}" for record in self._records)
            # the key inside tells the sets of plugins apart, and this is there before a digest is imported
            return cache_root() / "index" / f"{binascii.crc32(os.fsencode(name)):08x}.json"
        except (OSError, RuntimeError):
            return None

    def _listed(self, entry: dict[str, Any]) -> Listed:
        file, record, _ = self._files[entry["file"]]
        summary = entry["summary"]
        if summary is not None:
            metric = summary["metric"]
            listed = {key: tuple(summary[key]) for key in ("aliases", "weights")}
            summary = Summary(
                **{**summary, **listed, "metric": None if metric is None else tuple(metric), "file": file}
            )
        names, former = tuple(entry["names"]), dict(entry["former"])
        return Listed(entry["kind"], names, former, file, record.folder, record.origin, summary)


def _sum(documents: Any) -> int:
    """A check of what was written against damage."""
    return binascii.crc32(repr(documents).encode("utf-8", "backslashreplace"))


def _entry(one: Listed, file: int) -> dict[str, Any]:
    summary = None if one.summary is None else one.summary._asdict()
    return {"kind": one.kind, "names": one.names, "former": one.former, "file": file, "summary": summary}


def _scan(folder: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each file of documents below a folder with its size and times."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _scan(entry.path)
            elif entry.name.endswith(YAML_SUFFIXES):
                with contextlib.suppress(OSError):
                    yield entry.path, _stamp(entry.stat())


def _stamp(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
    for file in files[:-_MOST]:
        file.unlink(missing_ok=True)
