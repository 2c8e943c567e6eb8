"""`registry plugins`: who brings what, and what failed."""

from __future__ import annotations

from typing import Any

import click

from registry.cli import options, output
from registry.host import PluginRecord


@click.command("plugins")
@options.output_format
def command(output_format: str) -> None:
    """List installed plugins with their state, parts, documents and load time.

    REGISTRY_PLUGINS and REGISTRY_DISABLED_PLUGINS (comma-separated names of plugins or distributions) allow and block;
    REGISTRY_STRICT_PLUGINS=1 makes a failed plugin an error.
    """
    from registry import default_registry

    registry = default_registry()
    documents: dict[str, list[str]] = {}
    for document in registry.library.catalog.documents:
        if document.origin is not None:
            key = f"{document.origin.distribution}/{document.origin.plugin}"
            documents.setdefault(key, []).append(f"{document.kind} {document.name}")
    data = [_as_data(record, documents) for record in registry.plugins]
    if output_format == "json":
        output.echo_json(data)
        return
    rows = [
        [
            d["name"],
            d["distribution"],
            d["version"],
            d["state"],
            f"{1000 * d['seconds']:.1f} ms",
            d["error"] or ", ".join([*d["parts"], *(f"verb {verb}" for verb in d["verbs"])]) or "-",
        ]
        for d in data
    ]
    click.echo(
        output.table(rows, header=["NAME", "DISTRIBUTION", "VERSION", "STATE", "LOADED IN", "BRINGS"], right=[4])
    )


def _as_data(record: PluginRecord, documents: dict[str, list[str]]) -> dict[str, Any]:
    origin, brought = record.origin, record.contribution
    return {
        "name": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "state": record.state,
        "error": record.error,
        "seconds": round(record.seconds, 6),
        "parts": [f"{part.kind} {part.type}" for part in brought.parts],
        "categories": [categories.name for categories in brought.categories],
        "verbs": [command.name for command in brought.commands],
        "documents": documents.get(f"{origin.distribution}/{origin.plugin}", []),
    }
