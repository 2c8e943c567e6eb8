"""`registry rule`: what a rule means."""

from __future__ import annotations

import click

from registry.cli import options, output
from registry.errors import UnknownNameError


@click.command("rule")
@click.argument("rule", required=False)
@options.output_format
def command(rule: str | None, output_format: str) -> None:
    """Explain RULE, such as REG101, with a wrong and a right example. Without RULE, list every rule."""
    from registry import default_registry
    from registry.host.rule_pages import read_page, titles_and_pages
    from registry.rules import RULES

    host = default_registry().host
    if rule is None:
        rows = [[known, title] for known, title in titles_and_pages(host)[0].items()]
        if output_format == "json":
            output.echo_json([{"rule": known, "title": title} for known, title in rows])
        else:
            click.echo(output.table(rows, header=["RULE", "MEANING"]))
        return
    wanted = rule.upper()
    if wanted not in host.rule_ids:
        from registry.suggest import did_you_mean

        hint = did_you_mean(wanted, host.rule_ids)
        raise UnknownNameError(f"there is no rule `{rule}`; {hint or 'list them with: registry rule'}")
    page = host.rule_pages.get(wanted)
    if page is None:
        title = RULES[wanted]
        click.echo(f"{wanted}: {title}") if output_format == "text" else output.echo_json(
            {"rule": wanted, "title": title}
        )
        return
    read = read_page(page)
    if output_format == "json":
        examples = {"wrong": read.wrong[1], "right": read.right[1]}
        output.echo_json({"rule": read.id, "title": read.title, "text": read.text, **examples})
    else:
        click.echo(read.markdown.rstrip())
