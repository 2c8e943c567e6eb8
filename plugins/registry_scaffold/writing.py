"""Writing a folder so that it is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from registry import RegistryError


def write_folder(target: Path, texts: Mapping[str, str]) -> None:
    """Writes files into a new folder, which is filled under another name beside its place and then renamed.

    Args:
        target: the folder; it must not exist, or be empty.
        texts: UTF-8 text of each file by its path from there, with `/`.

    Raises:
        RegistryError: the place is taken, or cannot be written to; nothing is left behind.
    """
    shown = repr(os.fspath(target))
    _check_place(target, shown)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        for path, text in texts.items():
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        if target.exists():
            target.rmdir()  # fails where something was put into it meanwhile
        temporary.rename(target)
    except OSError as error:
        raise RegistryError(f"{shown} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_place(target: Path, shown: str) -> None:
    elsewhere = "choose another name, or another place with --into"
    try:
        if target.parent.exists() and not target.parent.is_dir():
            raise RegistryError(f"{os.fspath(target.parent)!r} is no folder to write into; choose another with --into")
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise RegistryError(f"{shown} exists and is no folder; {elsewhere}")
        if target.exists() and any(target.iterdir()):
            raise RegistryError(f"the folder {shown} exists and is not empty; {elsewhere}")
    except (OSError, ValueError) as error:
        raise RegistryError(f"{shown} cannot be looked at: {getattr(error, 'strerror', None) or error}") from error
