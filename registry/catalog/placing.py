"""Where in a document a finding is told: at its own text wherever that had a part in it."""

from __future__ import annotations

from dataclasses import replace

from registry.catalog.documents import Document
from registry.catalog.translate import locate
from registry.diagnostics import Diagnostic, Related
from registry.source import Mapping
from registry.specs import Finding

#: Names of the sources that overrides have.
OVERRIDES = ("--set", "overrides")


def placed(finding: Finding, root: Mapping, document: Document) -> Diagnostic:
    """The diagnostic of a finding about a resolved document.

    A contradiction between an inherited value and one that the document sets is told at the latter.
    """
    places = [locate(root, path) for path in (finding.path, *finding.also)]
    own = [place for place in places if place.span.file in (document.file, *OVERRIDES)]
    span = (own or places)[0].span
    return Diagnostic(finding.rule, finding.severity, finding.message, span, finding.suggestion)


def with_heir(diagnostic: Diagnostic, document: Document) -> Diagnostic:
    """The diagnostic with a note of the document that inherits what it is about, if it does."""
    if diagnostic.span.file == document.file or diagnostic.span.file in OVERRIDES:
        return diagnostic
    note = Related(f"inherited by the {document.kind} `{document.name}`", document.name_span)
    return replace(diagnostic, related=(*diagnostic.related, note))
