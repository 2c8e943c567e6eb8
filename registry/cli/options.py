"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

output_format = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output."
)
overrides = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting, such as backbone.width_mult=0.5.",
)


def model_settings(command: F) -> F:
    """The options that change or fill the model that a verb builds."""
    for option in (
        click.option("--device", metavar="DEVICE", help="Where to run, such as cpu or cuda.  [default: cpu]"),
        click.option(
            "--adapt-input",
            type=click.Choice(["sum", "mean", "random"]),
            help="How weights for another number of input channels serve.",
        ),
        click.option("--in-channels", type=click.IntRange(min=1), help="Channels of the input image."),
        click.option("--num-classes", type=click.IntRange(min=1), help="Number of classes."),
        click.option("--sha256", metavar="HEX", help="Expected digest of the weights, or its first 8 digits or more."),
        click.option(
            "--weights", metavar="W", help="`default`, a name from the spec, a file, torchvision:ENUM.ENTRY, or hf://…"
        ),
        overrides,
    ):
        command = option(command)
    return command
