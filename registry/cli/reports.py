"""The report of a validation in each form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from registry.diagnostics import Diagnostic, Related
from registry.errors import RegistryError

if TYPE_CHECKING:
    from registry.host import PluginHost

FORMATS = ("text", "json", "github", "sarif", "junit")


class Report(NamedTuple):
    """What a validation found.

    Attributes:
        files: every file that was looked at.
        host: knows what rules are called.
        strict: warnings count as errors.
    """

    diagnostics: tuple[Diagnostic, ...]
    files: Sequence[str]
    host: PluginHost
    strict: bool = False

    def render(self, output_format: str, *, color: bool = False) -> str:
        """The report as one text; only what its format needs is imported."""
        if output_format == "json":
            from registry.render import jsonable

            return jsonable.render(self.diagnostics)
        if output_format == "sarif":
            from registry import __version__
            from registry.host.rule_pages import titles_and_pages
            from registry.render import sarif

            titles, pages = titles_and_pages(self.host)
            return sarif.render(self._anchored(), version=__version__, titles=titles, pages=pages)
        if output_format == "junit":
            from registry.render import junit

            return junit.render(self.diagnostics, files=self.files, strict=self.strict)
        from registry.render import text

        counted = f"{len(self.files)} file{'' if len(self.files) == 1 else 's'}: {text.summary(self.diagnostics)}"
        if not self.diagnostics:
            return counted
        if output_format == "github":
            from registry.render import github

            return f"{github.render(self._anchored())}\n{counted}"
        return f"{text.render(self.diagnostics, color=color)}\n\n{counted}"

    def _anchored(self) -> list[Diagnostic]:
        """The diagnostics at files that were looked at: what an installed document causes is told where it is inherited."""
        return [self._anchor(diagnostic) for diagnostic in self.diagnostics]

    def _anchor(self, diagnostic: Diagnostic) -> Diagnostic:
        heir = next((note for note in diagnostic.related if note.span.file in self.files), None)
        if heir is None or diagnostic.span.file in self.files:
            return diagnostic
        others = tuple(note for note in diagnostic.related if note is not heir)
        return replace(diagnostic, span=heir.span, related=(Related("set here", diagnostic.span), *others), fix=None)

    def write(self, output_format: str, path: str) -> None:
        """Writes the report to a file, which is complete or untouched; or into a pipe or device, which stays what it is.

        Raises:
            RegistryError: it cannot be written.
        """
        from registry.files import write_atomically

        data = (self.render(output_format) + "\n").encode()
        try:
            if os.path.exists(path) and not os.path.isfile(path):
                with open(path, "wb") as stream:
                    stream.write(data)
            else:
                write_atomically(path, data)
        except OSError as error:
            raise RegistryError(f"the report cannot be written to {path}: {error.strerror or error}") from error
