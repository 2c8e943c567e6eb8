"""What the demonstration prints and writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry import RegistryError
from registry.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image


def say(text: str) -> None:
    """A heading."""
    click.echo(f"\n{text}")


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; raises RegistryError."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error


def write_picture(path: Path, picture: Image.Image) -> None:
    """Writes a PNG; raises RegistryError."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write(path, buffer.getvalue())
