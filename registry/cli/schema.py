"""`registry schema`: JSON Schema of documents, for editors."""

from __future__ import annotations

import click

from registry.catalog import KINDS


@click.command("schema")
@click.argument("kind", required=False, metavar="[KIND]", type=click.Choice(KINDS))
@click.option(
    "--out", metavar="FOLDER", help="Write KIND.schema.json there; without KIND every kind and document.schema.json."
)
def command(kind: str | None, out: str | None) -> None:
    """Print the JSON Schema of documents of KIND, or of any document, with every type that is installed.

    Editors complete and explain keys with it. YAML's language server takes it from a first line such as
    `# yaml-language-server: $schema=schemas/document.schema.json`.
    """
    from registry import default_registry
    from registry.schema import schema_of, text_of, write

    made = default_registry()
    if out is None:
        click.echo(text_of(schema_of(made.host, made.library.catalog, kind)), nl=False)
        return
    names = {} if kind is None else {"names": [kind]}
    for path in write(made.host, made.library.catalog, out, **names):
        click.echo(str(path))
