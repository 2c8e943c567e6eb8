"""Writing files so that a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes, *, like: str | os.PathLike[str] | None = None) -> None:
    """Writes beside the target, flushes to disk, and takes its place; on failure nothing is left.

    Args:
        like: a file whose permissions the new one gets; by default those that the user's umask grants.

    Raises:
        OSError: no such folder, no permission, no space.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        # os.open and not tempfile: the file gets the permissions that the user's umask grants
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if like is not None:
            shutil.copymode(like, temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
