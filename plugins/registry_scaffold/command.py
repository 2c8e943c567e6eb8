"""`registry new-plugin`: writes a distribution that brings one part, with a document and tests."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import click

from registry import RegistryError, default_registry
from registry.specs import PART_KINDS
from registry_scaffold.filling import filled, first_look, tree
from registry_scaffold.naming import check_free, parse_name
from registry_scaffold.writing import write_folder


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--part", "kind", type=click.Choice(PART_KINDS), default="head", show_default=True, help="What the plugin brings."
)
@click.option("--into", default=".", show_default=True, metavar="FOLDER", help="Where the plugin's folder is written.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output."
)
def new_plugin(name: str, kind: str, into: str, output_format: str) -> None:
    """Write a plugin to start from: a distribution in FOLDER/NAME that brings one part, works, and tests itself.

    NAME is letters, digits and `-`. `my-head` is the distribution `my-head`, the package `my_head`, and the type `my_head`
    that documents name. It must be free: no module of Python's, no installed package, no part of another plugin.

    \b
    --part         what is written, to be changed into what you need
      head          a classifier: generalised-mean pooling and a linear layer
      backbone      a small convolutional network of any width and depth
      task          numbers for a whole picture, with head, losses, metric, drawing
      dataset       generated pictures of shapes, for classification
      recipe        epochs and learning rates, checked against each other
      quantization  weights rounded to a few bits, channel by channel
      export        a file of torch.export (.pt2) for batches of any size

    Beside the part: its settings (no torch needed to check them), a YAML document that uses it, tests (the conformance kit
    and an example), pyproject.toml, README, and a workflow for CI. Nothing is installed; the next commands are printed.

    \b
    Examples:
      registry new-plugin my-head
      registry new-plugin shapes-data --part dataset --into plugins
    """
    try:
        names = parse_name(name)
        check_free(names, kind, default_registry())
    except RegistryError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    target = Path(into, names.folder)
    texts = filled(names, kind)
    write_folder(target, texts)
    place = os.fspath(target) if target.is_absolute() else os.path.join(".", target)
    commands = [
        f"pip install -e {shlex.quote(place + '[test]')}",
        f"pytest {shlex.quote(place)}",
        first_look(names, kind),
    ]
    if output_format == "json":
        data = {"name": names.distribution, "package": names.package, "part": kind, "folder": os.fspath(target)}
        click.echo(json.dumps({**data, "files": list(texts), "next": commands}, indent=2))
        return
    click.echo(tree(click.format_filename(target), texts))
    click.echo("\nNext:")
    for command in commands:
        click.echo(f"  {click.format_filename(command)}")
