"""Documents of the plugin: read, valid, and true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from registry.diagnostics import Diagnostic
from registry.testing.check import check
from registry.testing.outcome import Skipped
from registry.testing.subjects import DocumentSubject, PluginSubject


@check("plugin")
def catalog_is_read_whole(plugin: PluginSubject) -> Iterator[str]:
    """Every file in the plugin's folders of documents can be read, and no name in it is taken by another document."""
    folders = [record.folder for record in plugin.record.contribution.catalogs]
    catalog = plugin.registry.library.catalog
    run = plugin.registry.validation()
    taken = [d for d in run.documents(catalog.documents) if d.rule == "REG110"]
    for diagnostic in [*catalog.diagnostics, *taken]:
        if any(Path(diagnostic.span.file).is_relative_to(folder) for folder in folders):
            yield _shown(diagnostic)


@check("document")
def document_validates(document: DocumentSubject) -> Iterator[str]:
    """The document has no error and no warning; warnings that its author knows about stand in `accepts`."""
    for diagnostic in document.registry.validation().documents([document.document]):
        if diagnostic.severity != "note":
            yield _shown(diagnostic)


@check("measurable", torch=True)
def document_measures_as_declared(document: DocumentSubject) -> Iterator[str]:
    """Built without memory, the model has the parameters, multiply-adds, maps and budget that its document declares."""
    if document.spec is None:
        raise Skipped("the document is not valid; see document_validates")
    shallow = set(map(str, document.registry.validation().documents([document.document])))
    for diagnostic in document.registry.validation(deep=True).documents([document.document]):
        if diagnostic.severity != "note" and str(diagnostic) not in shallow:
            yield _shown(diagnostic)


def _shown(diagnostic: Diagnostic) -> str:
    return str(diagnostic)
