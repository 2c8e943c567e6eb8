"""Files in repositories on the Hugging Face hub, kept in that hub's own cache."""

from __future__ import annotations

import contextlib
import errno
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry.errors import MissingExtraError, WeightsError
from registry.weights.digest import sha256_of, verify_sha256
from registry.weights_reference import HubFile


def hub_file(reference: HubFile, digits: str | None, *, progress: bool = True) -> Path:
    """Fetch a file from the hub, or find it in the hub's cache.

    Args:
        reference: the file.
        digits: its sha256 or the first digits of it, in lower case; None checks nothing.
        progress: show the hub's progress bar, which it shows on a terminal only.

    Raises:
        MissingExtraError: when huggingface-hub is not installed.
        WeightsError: when the file cannot be had, or is another file.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("weights on the Hugging Face hub", "hub", "huggingface-hub") from error
    if digits is not None:
        # A file known by its sha256 needs no question to the hub, which without a network takes half a minute.
        with contextlib.suppress(Exception):
            kept = Path(_ask(huggingface_hub, reference, local_files_only=True))
            if sha256_of(kept).startswith(digits):
                return kept
    try:
        with _bars(shown=progress):
            path = Path(_ask(huggingface_hub, reference))
    except Exception as error:  # the hub's client lets errors of its http library and of the disk through as they are
        raise WeightsError(f"cannot fetch {reference}: {_reason(reference, error)}") from error
    if digits is not None:
        verify_sha256(path, digits)
    return path


def _ask(huggingface_hub: Any, reference: HubFile, **options: Any) -> str:
    repository = f"{reference.owner}/{reference.repo}"
    return str(huggingface_hub.hf_hub_download(repository, reference.file, revision=reference.revision, **options))


def _reason(reference: HubFile, error: Exception) -> str:
    from huggingface_hub import errors

    repository = f"{reference.owner}/{reference.repo}"
    # Each of these is a kind of one below it, so the order matters.
    if isinstance(error, errors.GatedRepoError):
        return f"access to {repository} is restricted; ask for it on its page, and set HF_TOKEN to a token that has it"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no repository {repository}, or a private one; correct the name, or set HF_TOKEN"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision {reference.revision}; correct what follows `@`"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "the hub cannot be reached and no earlier copy is kept; try again with a network, or fetch the file "
            f"elsewhere and write its path instead, for instance ./{reference.file.rpartition('/')[2]}"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repository} has no file {reference.file}; correct the path, which starts at the top of the repository"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space, or set HF_HOME to a folder on another disk"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{said}; try again, or fetch the file elsewhere and write its path instead"


@contextlib.contextmanager
def _bars(*, shown: bool) -> Iterator[None]:
    utils: Any = importlib.import_module("huggingface_hub.utils")
    if shown or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()
