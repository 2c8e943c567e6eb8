"""Fetching a url into a file that is either complete and right, or absent."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import filelock

from registry.cache_root import VARIABLE
from registry.errors import WeightsError
from registry.weights.digest import expectation, verify_sha256
from registry.weights.transfer import chunks_of

# Longer than another process needs for any weights file; a process that dies gives its lock back at once.
_LOCK_SECONDS = 1800.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def download(url: str, target: Path, digits: str, *, progress: bool = True) -> Path:
    """Fetch a file, once even when several processes ask for it, and check it before it gets its name.

    Args:
        url: where the file is.
        target: where to put it; its folder exists.
        digits: its sha256, or the first 8 or more digits of that, in lower case.
        progress: show progress on a terminal.

    Returns:
        The target.

    Raises:
        WeightsError: when it cannot be fetched or written, or is another file; the target is then absent.
    """
    with _alone(target):
        if target.is_file():
            # Another process fetched it while this one waited.
            verify_sha256(target, digits)
        else:
            _drop_leftovers(target)
            _fetch(url, target, digits, progress=progress)
    return target


def _fetch(url: str, target: Path, digits: str, *, progress: bool) -> None:
    remedy = f"fetch it elsewhere and put it at {target} (its sha256 is {expectation(digits)}), or try again"
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    digest = hashlib.sha256()
    try:
        with open(partial, "xb") as file:
            for chunk in chunks_of(url, remedy, progress=progress):
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            # Without this a power cut could leave the name in place and the content missing.
            os.fsync(file.fileno())
        if not digest.hexdigest().startswith(digits):
            raise WeightsError(
                f"cannot fetch {url}: what was sent is another file, with the sha256 {digest.hexdigest()}; {remedy}"
            )
        os.replace(partial, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _unwritable(target: Path, error: OSError) -> WeightsError:
    if error.errno in _FULL:
        return WeightsError(
            f"cannot write {target}: the disk is full, so nothing was kept; free some space, or set {VARIABLE} "
            "to a folder on another disk"
        )
    return WeightsError(
        f"cannot write {target}: {error.strerror or error}; set {VARIABLE} to a folder that can be written"
    )


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    lock = filelock.FileLock(f"{target}.lock", timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise WeightsError(
            f"another process has been fetching {target} for {_LOCK_SECONDS / 60:g} minutes; wait for it or end it"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise WeightsError(
            f"cannot lock {target}.lock: {error}; set {VARIABLE} to a folder on a disk that knows file locks"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _drop_leftovers(target: Path) -> None:
    """Remove what killed processes left; whoever holds the lock is the only one that writes."""
    for leftover in target.parent.glob(f"{glob.escape(target.name)}.*.partial"):
        with contextlib.suppress(OSError):
            leftover.unlink()
