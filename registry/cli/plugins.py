"""`registry plugins`: who brings what, and what failed; `registry plugins check` proves that a plugin does what it must."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from registry.cli import options, output
from registry.host import PluginRecord

if TYPE_CHECKING:
    from registry.registry import Registry
    from registry.testing import Outcome


class _Actions(click.Group):
    """Names the nearest action where there is none of that name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a hint."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from registry.suggest import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx)) if args else None
            raise click.UsageError(f"no such action `{args[0]}`" + (f"; {hint}" if hint else ""), ctx) from None


@click.group("plugins", cls=_Actions, invoke_without_command=True, subcommand_metavar="[check NAME]")
@options.output_format
@click.pass_context
def command(ctx: click.Context, output_format: str) -> None:
    """List installed plugins with their state, parts, documents and load time, and what is wrong with them.

    States: loaded; faulty (it works but for what is told below the table); failed (it is left out); disabled. With
    REGISTRY_PLUGINS only the plugins or distributions it names are loaded beside the built-in ones (comma-separated; empty:
    none), REGISTRY_DISABLED_PLUGINS blocks some, and REGISTRY_STRICT_PLUGINS=1 makes a failed plugin an error of every command
    and a faulty one an error of this.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = output_format
        return
    from registry import default_registry

    registry = default_registry()
    data = [_as_data(registry, record) for record in registry.plugins]
    faulty = any(d["problems"] for d in data)
    if output_format == "json":
        output.echo_json(data)
    else:
        click.echo("\n".join(_table(data)))
    if faulty and os.environ.get("REGISTRY_STRICT_PLUGINS") == "1":
        sys.exit(1)


def _table(data: list[dict[str, Any]]) -> list[str]:
    """A line a plugin, then what is wrong with each."""
    rows = [
        [
            d["name"],
            d["distribution"],
            d["version"],
            d["state"] if d["state"] != "loaded" or not d["problems"] else "faulty",
            f"{1000 * d['seconds']:.1f} ms",
            str(len(d["documents"])),
            ", ".join([*d["parts"], *(f"verb {verb}" for verb in d["verbs"])]) or "-",
        ]
        for d in data
    ]
    header = ["NAME", "DISTRIBUTION", "VERSION", "STATE", "LOADED IN", "DOCUMENTS", "BRINGS"]
    lines = [output.table(rows, header=header, right=[4, 5])]
    for d in data:
        if d["problems"]:
            lines += ["", f"{d['distribution']}/{d['name']}"]
            lines += [f"  {output.printable(problem)}" for problem in d["problems"]]
    return lines


@command.command("check")
@click.argument("name")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), help="Output.  [default: text]")
@click.pass_context
def check(ctx: click.Context, name: str, output_format: str | None) -> None:
    """Run the conformance kit on the plugin or distribution NAME.

    Every part and document is held to what the registry promises of it. Checks that need torch are skipped where it is not
    installed. Exit codes: 0 nothing failed, 1 something did, 2 the command was used wrongly.
    """
    from registry import default_registry
    from registry.testing.kit import Kit

    kit = Kit(default_registry(), name)
    cases = output.progress(kit.cases, f"checking {name}", total=len(kit.cases))
    outcomes = [kit.run(case) for case in cases]
    counts = Counter(outcome.state for outcome in outcomes)
    if (output_format or ctx.obj) == "json":
        numbers = {state: counts[state] for state in ("passed", "failed", "skipped")}
        output.echo_json({"plugin": name, **numbers, "outcomes": [asdict(outcome) for outcome in outcomes]})
    else:
        click.echo("\n".join(_report(outcomes, counts)))
    if counts["failed"]:
        sys.exit(1)


def _report(outcomes: list[Outcome], counts: Counter[Any]) -> list[str]:
    """A table of all outcomes, then everything that is wrong, then the numbers."""
    rows = [
        [o.subject, o.check, o.state, f"{o.seconds:.2f} s", output.printable(" ".join(o.message.split()))]
        for o in outcomes
    ]
    lines = [output.table(rows, header=["SUBJECT", "CHECK", "STATE", "TIME", "WHY"], right=[3])] if rows else []
    for outcome in outcomes:
        if outcome.state == "failed":
            lines += ["", outcome.id, *(f"  {line}" for line in output.printable(outcome.message).splitlines())]
    for reason, count in Counter(o.message for o in outcomes if o.state == "skipped").items():
        lines += ["", f"skipped, {count} {'check' if count == 1 else 'checks'}: {output.printable(reason)}"]
    total = f"{len(outcomes)} checks: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    return [*lines, *([""] if lines else []), total]


def _as_data(registry: Registry, record: PluginRecord) -> dict[str, Any]:
    from registry.catalog.conflicts import conflicts
    from registry.host.inspection import faults

    origin, brought = record.origin, record.contribution
    catalog = registry.library.catalog
    return {
        "name": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "state": record.state,
        "error": record.error,
        "problems": [*faults(registry.host, record), *conflicts(catalog, origin)],
        "seconds": round(record.seconds, 6),
        "parts": [f"{part.kind} {part.type}" for part in brought.parts],
        "categories": [categories.name for categories in brought.categories],
        "verbs": [command.name for command in brought.commands],
        "documents": [f"{listed.kind} {listed.name}" for listed in catalog.listed if listed.origin == origin],
    }
