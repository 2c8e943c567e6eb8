"""The command line: `registry VERB`. One file a verb; nothing heavy is imported before a verb needs it."""

from registry.cli.group import main

__all__ = ["main"]
