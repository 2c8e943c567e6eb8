"""The command group: finds verbs lazily, and turns every error of the user's into one clear message."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import warnings
from typing import Any, TextIO

import click

from registry.diagnostics import SpecError
from registry.errors import ConflictError, RegistryError, RegistryWarning, UnknownNameError

#: The verbs of the core with their lines in `--help`; the module of the same name in this package defines `command`.
_VERBS = {
    "list": "List models.",
    "show": "Describe a model: figures, weights, feature maps.",
    "explain": "Print a merged spec, each value with the line that set it.",
    "diff": "Show what differs between two specs, by meaning.",
    "validate": "Check spec files, without torch.",
    "schema": "Print JSON Schema of documents, for editors and other tools.",
    "rule": "Explain what a rule means, with a wrong and a right example.",
    "build": "Build a model and report parameters, multiply-adds and feature maps.",
    "predict": "Run a model on images.",
    "plugins": "List plugins and what they bring.",
}


class _Verbs(click.Group):
    """The core's verbs and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, the core's first."""
        return [*_VERBS, *sorted(set(_plugin_verbs()) - set(_VERBS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, its module imported now."""
        if cmd_name in _VERBS:
            command: click.Command = importlib.import_module(f"registry.cli.{cmd_name}").command
            return command
        record = _plugin_verbs().get(cmd_name)
        if record is None:
            return None
        from registry.host.host import import_attribute

        found = import_attribute(record.target, record.origin)
        if not isinstance(found, click.Command):
            raise RegistryError(f"{record.origin} gives `{record.target}` as a verb, which is not a click command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verbs where there is none of that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from registry.suggest import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx)) if args else None
            raise click.UsageError(f"no such verb `{args[0]}`" + (f"; {hint}" if hint else ""), ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs and their summaries, without importing them."""
        extra = _plugin_verbs()
        rows = [(name, _VERBS.get(name) or extra[name].summary) for name in self.list_commands(ctx)]
        with formatter.section("Verbs"):
            formatter.write_dl(rows)


def _plugin_verbs() -> dict[str, Any]:
    from registry import default_registry

    return {record.name: record for record in reversed(default_registry().host.commands)}


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vision-registry", prog_name="registry")
def cli() -> None:
    """A registry of vision models: readable specs, checked without torch, built into torch modules.

    Exit codes: 0 all is well, 1 something is wrong with a spec, weights or an image, 2 the command was used wrongly.
    """


def main() -> None:
    """Runs the command line; the entry point of the script `registry`."""
    # finding plugins of pydantic searches everything that is installed, a second time; see docs/validation.md
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(100_000, 50, 100)  # thousands of small objects that live for one document only
    atexit.register(gc.freeze)  # the process ends: nothing is left to look for garbage in
    warnings.showwarning = _show_warning(warnings.showwarning)
    warnings.simplefilter("always", RegistryWarning)
    _usable_streams()
    try:
        cli.main(prog_name="registry")
    except SpecError as error:
        from registry.render import text

        click.echo(text.render(error.diagnostics, color=sys.stderr.isatty()), err=True)
        sys.exit(1)
    except RegistryError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, (UnknownNameError, ConflictError)) else 1)
    except OSError as error:  # such as a full disk behind the output, or a working folder that is gone
        told = error.strerror or str(error)
        click.echo(f"error: {told}{f': {error.filename}' if error.filename else ''}", err=True)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # what waits in it cannot be written at the end either
        sys.exit(1)


def _usable_streams() -> None:
    """Streams that are closed lead nowhere, and characters that a terminal does not have are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # open until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _show_warning(usual: Any) -> Any:
    """A short line for this package's warnings; anything else as Python shows it."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, RegistryWarning):
            click.echo(f"warning: {message}", err=True)
        else:
            usual(message, category, filename, lineno, file, line)

    return show
