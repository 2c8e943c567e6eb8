"""What a spec writes to say where weights come from.

The text alone decides which form it is; what happens to lie in the current folder never does, so that a spec means the
same everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from registry.errors import WeightsError

SUFFIXES = (".safetensors", ".pth", ".pt")

_FORMS = """write one of
  torchvision:ENUM.ENTRY, for instance torchvision:NAME_Weights.DEFAULT
  hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE, for instance hf://owner/repo@v1.0/model.safetensors
  a path that starts with `.`, `/` or `~`, or ends in .safetensors, .pth or .pt, for instance ./model.safetensors"""

_TORCHVISION = "torchvision:"
_HUB = "hf://"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HUB_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# Two characters or more, so that a drive letter (`C:\weights\a.pth`) is still the start of a path.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine; a leading `~` is already replaced by the home folder."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class TorchvisionEntry:
    """An entry of one of torchvision's weights enums."""

    enum: str
    entry: str

    def __str__(self) -> str:
        return f"{_TORCHVISION}{self.enum}.{self.entry}"


@dataclass(frozen=True)
class HubFile:
    """A file in a repository on the Hugging Face hub; no revision means its main branch."""

    owner: str
    repo: str
    file: str
    revision: str | None = None

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"{_HUB}{self.owner}/{self.repo}{at}/{self.file}"


Reference: TypeAlias = LocalFile | TorchvisionEntry | HubFile


def parse_reference(text: str) -> Reference:
    """Read a weights reference.

    Args:
        text: `torchvision:ENUM.ENTRY`, `hf://OWNER/REPO[@REVISION]/FILE` or a local path.

    Raises:
        WeightsError: for anything else; the message shows each form with an example.
    """
    if _CONTROL.search(text):
        _refuse(text, "it holds a control character")
    if text.startswith(_TORCHVISION):
        return _torchvision_entry(text)
    if text.startswith(_HUB):
        return _hub_file(text)
    if text.startswith((".", "/", "~")) or (text.endswith(SUFFIXES) and not _SCHEME.match(text)):
        return _local_file(text)
    _refuse(text)


def _torchvision_entry(text: str) -> TorchvisionEntry:
    enum, _, entry = text[len(_TORCHVISION) :].partition(".")
    if not (_IDENTIFIER.fullmatch(enum) and _IDENTIFIER.fullmatch(entry)):
        _refuse(text, f"`{_TORCHVISION}` takes the name of an enum, a dot and the name of one of its entries")
    return TorchvisionEntry(enum, entry)


def _hub_file(text: str) -> HubFile:
    owner, _, rest = text[len(_HUB) :].partition("/")
    repo, _, file = rest.partition("/")
    repo, at, revision = repo.partition("@")
    names = [owner, repo, revision] if at else [owner, repo]
    if not all(_HUB_NAME.fullmatch(name) and ".." not in name for name in names):
        _refuse(text, f"`{_HUB}` takes an owner, a repository with an optional @REVISION, and a file, separated by `/`")
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in file.split("/")):
        _refuse(text, "the path in the repository is relative, with no `..`, `.`, `:`, backslash or empty part")
    if not file.endswith(SUFFIXES):
        _refuse(text, f"the file in the repository ends in {SUFFIXES[0]}, {SUFFIXES[1]} or {SUFFIXES[2]}")
    return HubFile(owner, repo, file, revision or None)


def _local_file(text: str) -> LocalFile:
    try:
        return LocalFile(Path(text).expanduser() if text.startswith("~") else Path(text))
    except RuntimeError:
        _refuse(text, "there is no such home folder; a file whose name starts with `~` is written ./~NAME")


def _refuse(text: str, why: str = "") -> NoReturn:
    raise WeightsError(f"{text!r} is not a weights reference{': ' if why else ''}{why}; {_FORMS}") from None
