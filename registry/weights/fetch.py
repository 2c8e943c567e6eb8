"""From a weights reference to a verified file on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from registry.errors import WeightsError
from registry.suggest import did_you_mean
from registry.weights.cache import cache_folder, cache_path
from registry.weights.choice import Choice
from registry.weights.digest import checked_digits, verify_sha256
from registry.weights.hub import hub_file
from registry.weights.published import Published, find_published, torch_checkpoints
from registry.weights_reference import LocalFile, Reference, TorchvisionEntry


def locate(reference: Reference, *, sha256: str | None = None, progress: bool = True) -> Path:
    """Find the file that a reference means, fetching it when it is not on this machine yet.

    Args:
        reference: where the weights come from.
        sha256: the file's sha256, or the first 8 or more digits of it; None checks only what the source publishes.
        progress: show progress on a terminal while fetching.

    Returns:
        The path of a complete file whose sha256 is right.

    Raises:
        MissingExtraError: when the source needs a package that is not installed.
        WeightsError: when the file cannot be had, or is another file.
    """
    digits = None if sha256 is None else checked_digits(sha256)
    if isinstance(reference, LocalFile):
        return _local(reference.path, digits)
    if isinstance(reference, TorchvisionEntry):
        return _published(reference, digits, progress=progress)
    return hub_file(reference, digits, progress=progress)


def _local(path: Path, digits: str | None) -> Path:
    if not os.path.isfile(path):
        raise WeightsError(_no_file(path.absolute()))
    if digits is not None:
        verify_sha256(path, digits)
    return path


def _no_file(path: Path) -> str:
    if os.path.isdir(path):
        return f"{path} is a folder; write the path of a weights file in it"
    if os.path.exists(path):
        return f"{path} is not a regular file; write the path of a weights file"
    if os.path.islink(path):
        return f"{path} is a link to {os.readlink(path)}, which does not exist; correct the link or the path"
    try:
        names = os.listdir(path.parent)
    except OSError as error:
        return f"there is no file {path}: its folder cannot be read ({error.strerror}); correct the path"
    return f"there is no file {path}; {did_you_mean(path.name, names) or 'nothing in its folder has a name like it'}"


def _published(reference: TorchvisionEntry, digits: str | None, *, progress: bool) -> Path:
    published = find_published(reference)
    digits = _digits(reference, published, digits)
    for folder in (cache_path(), torch_checkpoints()):
        # A copy that fails the check is reported: only its owner can say whether it may go.
        if os.path.isfile(kept := folder / published.name):
            verify_sha256(kept, digits)
            return kept
    # Its lock and http packages are slow to import, and a file that is at hand needs neither.
    from registry.weights.download import download

    return download(published.url, cache_folder() / published.name, digits, progress=progress)


def _digits(reference: TorchvisionEntry, published: Published, given: str | None) -> str:
    """The longest known start of the sha256; what is published and what is given must agree."""
    if given is None:
        if not published.digits:
            raise WeightsError(
                f"{reference}: {published.url} publishes no sha256 in its name; give a sha256 in the spec"
            )
        return published.digits
    if given.startswith(published.digits):
        return given
    if published.digits.startswith(given):
        return published.digits
    raise WeightsError(
        f"{reference}: the sha256 {given} in the spec cannot be right, as torchvision publishes {published.name}, "
        f"whose sha256 starts with {published.digits}; correct it or leave it out"
    )


def located(choice: Choice | None, sha256: str | None) -> Path | None:
    """The file of chosen weights on this machine, checked against the spec's digest and the caller's; raises as `locate`."""
    if choice is None:
        return None
    file = locate(choice.reference, sha256=choice.sha256)
    if sha256 is not None:
        verify_sha256(file, sha256)
    return file
