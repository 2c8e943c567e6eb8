"""The report of a validation in each form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.diagnostics import Diagnostic
from registry.errors import RegistryError
from registry.files import write_atomically

if TYPE_CHECKING:
    from registry.host import PluginHost

FORMATS = ("text", "json", "github", "sarif", "junit")


@dataclass(frozen=True)
class Report:
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
            return sarif.render(self.diagnostics, version=__version__, titles=titles, pages=pages)
        if output_format == "junit":
            from registry.render import junit

            return junit.render(self.diagnostics, files=self.files, strict=self.strict)
        from registry.render import text

        counted = f"{len(self.files)} file{'' if len(self.files) == 1 else 's'}: {text.summary(self.diagnostics)}"
        if not self.diagnostics:
            return counted
        if output_format == "github":
            from registry.render import github

            return f"{github.render(self.diagnostics)}\n{counted}"
        return f"{text.render(self.diagnostics, color=color)}\n\n{counted}"

    def write(self, output_format: str, path: str) -> None:
        """Writes the report to a file, which is complete or untouched.

        Raises:
            RegistryError: it cannot be written.
        """
        try:
            write_atomically(path, (self.render(output_format) + "\n").encode())
        except OSError as error:
            raise RegistryError(f"the report cannot be written to {path}: {error.strerror or error}") from error
