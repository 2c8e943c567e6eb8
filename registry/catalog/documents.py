"""Documents: a YAML mapping with a kind and a name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from registry.diagnostics import Diagnostic
from registry.host.records import Origin
from registry.source import Mapping, Node, Scalar, Sequence, Source, SourceProblem, Span, read_bytes, read_file
from registry.specs import PART_KINDS, AboutSpec, Rename
from registry.suggest import did_you_mean

KINDS = ("model", *PART_KINDS)
#: The document format this release reads.
FORMAT = 1
YAML_SUFFIXES = (".yaml", ".yml", ".json")


class EnvelopeSpec(AboutSpec):
    """Keys that every document of a part may have beside the part's own settings."""

    kind: Annotated[str, Field(description="What the document describes.")]


#: Keys of a document that are about it alone and never inherited: a heir's published figures are not its parent's.
OWN_KEYS = ("spec", "kind", "name", "aliases", "renames", "extends", "summary", "figures")


class Document(NamedTuple):
    """A document as it was written, before `extends`.

    Attributes:
        origin: the plugin that ships it; None for a user's own file.
        root: folder that paths in the document must not leave.
    """

    kind: str
    name: str
    node: Mapping
    root: Path
    origin: Origin | None = None

    @property
    def file(self) -> str:
        """Path of the file, as it was given."""
        return self.node.span.file

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and aliases."""
        aliases = self.node.get("aliases")
        items = aliases.items if isinstance(aliases, Sequence) else ()
        return (self.name, *(item.value for item in items if isinstance(item, Scalar) and isinstance(item.value, str)))

    @property
    def former(self) -> dict[str, Rename]:
        """Names that it gave up."""
        renames = self.node.get("renames")
        entries = renames.entries if isinstance(renames, Mapping) else {}
        releases = {old: entry.node.value for old, entry in entries.items() if isinstance(entry.node, Scalar)}
        return {old: Rename(self.name, str(release)) for old, release in releases.items()}

    @property
    def name_span(self) -> Span:
        """Where its name stands."""
        node = self.node.get("name")
        return node.span if node is not None else self.node.span

    @property
    def name_spans(self) -> dict[str, Span]:
        """Its name and aliases, and where each stands."""
        aliases = self.node.get("aliases")
        items = aliases.items if isinstance(aliases, Sequence) else ()
        spans = {self.name: self.name_span}
        for item in items:
            if isinstance(item, Scalar) and isinstance(item.value, str):
                spans.setdefault(item.value, item.span)
        return spans

    def span_of(self, name: str) -> Span:
        """Where a name or alias of it stands."""
        return self.name_spans.get(name, self.name_span)

    def text(self, key: str) -> str:
        """A top-level text, or the type of a top-level part; empty where there is none."""
        node = self.node.get(key)
        node = node.get("type") if isinstance(node, Mapping) else node
        return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""


def read_documents(
    path: str | os.PathLike[str],
    *,
    root: Path | None = None,
    origin: Origin | None = None,
    data: bytes | None = None,
    name: str | None = None,
) -> tuple[list[Document], list[Diagnostic]]:
    """Every document of a file, and what is wrong with those that are none.

    Args:
        root: folder that its paths must not leave; by default the working folder if the file is inside, else its own.
        data: the bytes to read instead of the file, which then only lends its name.
        name: what the file is called in messages; by default as `shown_folder` says.
    """
    try:
        name = name or (str(path) if origin is not None else _shown_name(path))
        nodes = read_file(name) if data is None else read_bytes(data, str(path))
    except SourceProblem as problem:
        return [], [Diagnostic.of(problem)]
    folder = root or root_of(Path(path))
    documents: list[Document] = []
    diagnostics: list[Diagnostic] = []
    if not nodes:
        text = "the file holds no document"
        nowhere = Span(Source(name), 1, 1, 1, 1)
        diagnostics.append(Diagnostic("REG115", "warning", text, nowhere, "write one, or remove the file"))
    for node in nodes:
        found = _document(node, folder, origin)
        if isinstance(found, Document):
            documents.append(found)
        else:
            diagnostics.extend(found)
    return documents, diagnostics


def _shown_name(path: str | os.PathLike[str]) -> str:
    """One name for a user's file, however it was reached: relative where it lies in the working folder."""
    full, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(full, here) if full.startswith(here.rstrip(os.sep) + os.sep) else str(path)


def shown_folder(folder: str) -> str | None:
    """What stands before the names of a folder's files in messages; None for their paths as they were given."""
    full, here = os.path.abspath(folder), os.getcwd()
    if full == here:
        return ""
    return os.path.relpath(full, here) if full.startswith(here.rstrip(os.sep) + os.sep) else None


def root_of(path: Path) -> Path:
    """The folder that a user's file may refer into."""
    here, folder = Path.cwd().resolve(), path.resolve().parent
    return here if folder.is_relative_to(here) else folder


def _document(node: Node, root: Path, origin: Origin | None) -> Document | list[Diagnostic]:
    if not isinstance(node, Mapping):
        return [Diagnostic("REG103", "error", "a document is a mapping", node.span, "begin with `kind: model`")]
    problems = list(_envelope_problems(node))
    if problems:
        return problems
    kind, name = node.get("kind"), node.get("name")
    assert isinstance(kind, Scalar)  # _envelope_problems saw to it
    assert isinstance(name, Scalar)
    return Document(str(kind.value), str(name.value), node, root, origin)


def _is_format(node: Node) -> bool:
    return isinstance(node, Scalar) and type(node.value) is int and node.value == FORMAT


def _envelope_problems(node: Mapping) -> Iterable[Diagnostic]:
    version = node.entries.get("spec")
    if version is not None and not _is_format(version.node):
        yield Diagnostic(
            "REG112",
            "error",
            f"this release reads documents of format {FORMAT}",
            version.node.span,
            f"write `spec: {FORMAT}`, or install a newer vision-registry for a newer format",
        )
    start = next((entry.key_span for entry in node.entries.values()), node.span)
    for key, example in (("kind", "kind: model"), ("name", "name: my_model")):
        value = node.get(key)
        if value is None:
            yield Diagnostic("REG102", "error", f"missing key `{key}`", start, f"write for instance `{example}`")
        elif not isinstance(value, Scalar) or not isinstance(value.value, str):
            yield Diagnostic("REG103", "error", f"`{key}` is a text", value.span, f"write for instance `{example}`")
        elif key == "name" and value.value.lower().endswith(YAML_SUFFIXES):
            text = f"the name `{value.value}` reads as the path of a file, so that nobody could refer to it"
            yield Diagnostic("REG104", "error", text, value.span, "leave out the suffix")
        elif key == "kind" and value.value not in KINDS:
            hint = did_you_mean(value.value, KINDS)
            yield Diagnostic("REG106", "error", f"unknown kind of document `{value.value}`", value.span, hint)
