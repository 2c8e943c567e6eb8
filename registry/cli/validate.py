"""`registry validate`: every mistake of every document, with its position, without torch."""

from __future__ import annotations

import sys

import click

from registry.cli import options, output
from registry.diagnostics import errors, in_order


@click.command("validate")
@click.argument("paths", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@options.output_format
def command(paths: tuple[str, ...], strict: bool, output_format: str) -> None:
    """Check the documents of PATHS: files, folders (every *.yaml and *.yml inside), or - for standard input.

    Without PATHS, checks the documents of every installed plugin.
    """
    from registry import default_registry

    library = default_registry().library
    files = [path for path in paths if path != "-"]
    found = [*(library.validate_files(files) if paths else library.validate_catalog())]
    if "-" in paths:
        found += library.validate_text(sys.stdin.buffer.read(), "<stdin>")
    diagnostics = in_order(found)
    if output_format == "json":
        from registry.render import jsonable

        output.echo_json(jsonable.as_data(diagnostics))
    else:
        from registry.render import text

        if diagnostics:
            click.echo(text.render(diagnostics, color=sys.stdout.isatty()) + "\n")
        click.echo(text.summary(diagnostics))
    if diagnostics if strict else errors(diagnostics):
        sys.exit(1)
