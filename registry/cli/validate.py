"""`registry validate`: every mistake of every document, with its position, without torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli import metadata_later, output
from registry.cli.reports import FORMATS, Report
from registry.diagnostics import Diagnostic, errors
from registry.errors import RegistryError

if TYPE_CHECKING:
    from registry.catalog import Validation

_STDIN = "<stdin>"


@click.command("validate")
@click.argument("paths", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--fix", is_flag=True, help="Put new names in the place of those that were given up.")
@click.option("--deep", is_flag=True, help="Build each model without memory and measure it; needs torch.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches below a folder.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one a core for many files, else one]")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="Form of the report.  [default: github where GITHUB_ACTIONS is set, else text]",
)
@click.option(
    "--output",
    "output_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the report there; a text is shown too.",
)
def command(
    paths: tuple[str, ...],
    strict: bool,
    fix: bool,
    deep: bool,
    exclude: tuple[str, ...],
    jobs: int | None,
    output_format: str | None,
    output_file: str | None,
) -> None:
    """Check the documents of PATHS: files, folders (every *.yaml and *.yml inside), or - for standard input.

    Without PATHS, checks the documents of every installed plugin.

    Exit codes: 0 all is well, 1 errors (with --strict, warnings too), 2 the command was used wrongly.
    """
    files = _files(paths, exclude)
    if output_file is not None and os.path.realpath(output_file) in map(os.path.realpath, files):
        raise click.UsageError(
            f"`--output {output_file}` is one of the files to check, and would be replaced by the report"
        )
    fixed = not fix or _fix(files)
    report = _validate(paths, files, deep=deep, strict=strict, jobs=jobs)
    usual = "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "text"
    shown = usual if output_file is not None else output_format or usual
    click.echo(report.render(shown, color=sys.stdout.isatty()))
    if output_file is not None:
        report.write(output_format or "json", output_file)
    found = report.diagnostics
    if not fixed or ([d for d in found if d.severity != "note"] if strict else errors(found)):
        sys.exit(1)


def _validate(paths: Sequence[str], files: Sequence[Path], *, deep: bool, strict: bool, jobs: int | None) -> Report:
    from registry import default_registry
    from registry.catalog import each_once, validate_each

    metadata_later.put_off()
    registry = default_registry()
    run = registry.validation(deep=deep)
    found: list[Diagnostic] = []
    # one after the other where torch runs, which has its own threads
    results = validate_each(run, files, 1 if deep else jobs, _anew)
    for diagnostics in output.progress(results, "validating", total=len(files), shown=deep):
        found += diagnostics
    if "-" in paths:
        found += run.text(_standard_input(), _STDIN)
    names = [*map(os.fspath, files), *([_STDIN] if "-" in paths else [])]
    if not paths:
        library = registry.library
        names = sorted({document.file for document in library.catalog.documents})
        shipped = library.catalog.documents
        documents = output.progress(shipped, "validating", total=len(shipped), shown=deep)
        found += [*library.catalog.diagnostics, *run.documents(documents)]
    return Report(each_once(found), names, registry.host, strict)


def _anew() -> Validation:
    """A run like that of `_validate` in another process."""
    from registry import default_registry

    return default_registry().validation()


def _files(paths: Sequence[str], exclude: Sequence[str]) -> list[Path]:
    from registry.catalog import spec_files

    given = [path for path in paths if path != "-"]
    found = list(spec_files(given, exclude=exclude))
    for path in given if len(given) > 1 or not found else []:
        if os.path.isdir(path) and next(spec_files([path], exclude=exclude), None) is None:
            left = ", or --exclude leaves out all there is" if exclude else ""
            raise click.UsageError(f"there is no *.yaml or *.yml below `{path}`{left}")
    return found


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise RegistryError("there is no standard input to read; it is closed")
    return sys.stdin.buffer.read()


def _fix(files: Sequence[Path]) -> bool:
    """Makes every fix in the files; what was fixed, and what could not be, is told on the error stream; False for it."""
    from registry import default_registry
    from registry.catalog import apply_fixes, each_once

    run = default_registry().validation()
    found = each_once([diagnostic for file in files for diagnostic in run.file(file)])
    done, failed = apply_fixes(found, files)
    for name, count in done.items():
        click.echo(f"fixed {count} name{'s' if count > 1 else ''} in {name}", err=True)
    for text in failed:
        click.echo(f"error: {text}", err=True)
    return not failed
