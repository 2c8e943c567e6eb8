"""What a weights file holds, judged by its bytes and never by its name."""

from __future__ import annotations

import codecs
import enum
import zipfile
from pathlib import Path

from registry.errors import WeightsError
from registry.weights.header import HEADER_LIMIT

_START = 4096
# torch.save's old format starts with this number, pickled.
_TORCH_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_TAR_MAGIC = slice(257, 262)


class Contents(enum.Enum):
    """What a file holds; each value is how a message says it."""

    EMPTY = "is empty"
    SAFETENSORS = "holds safetensors"
    TORCH_ZIP = "was written by torch.save"
    TORCH_ZIP_PACKED = "was written by torch.save, and compressed since"
    TORCH_LEGACY = "was written by torch.save in its old format"
    TORCHSCRIPT = "is a TorchScript archive, which holds a program"
    CUT_ZIP = "is cut short or damaged: its zip archive has no end"
    OTHER_ZIP = "is a zip archive that torch.save did not write"
    TAR = "is a tar archive, torch.save's oldest format, which cannot be read without running what it holds"
    PICKLE = "is a pickle that torch.save did not write, which cannot be read without running what it holds"
    WEB_PAGE = "is a web page"
    LFS_POINTER = "is a Git LFS pointer, which stands for a file that was not fetched"
    TEXT = "is a text file"
    UNKNOWN = "holds nothing that is known, or is cut short"


TORCH_READABLE = frozenset({Contents.TORCH_ZIP, Contents.TORCH_ZIP_PACKED, Contents.TORCH_LEGACY})


def contents_of(path: Path) -> Contents:
    """Judge what a file holds.

    Raises:
        WeightsError: when the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(_START)
        if start.startswith(b"PK\x03\x04"):
            return _zip_contents(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if not start:
        return Contents.EMPTY
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= HEADER_LIMIT:
        return Contents.SAFETENSORS
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Contents.TORCH_LEGACY if _TORCH_MAGIC in start[:64] else Contents.PICKLE
    if start[_TAR_MAGIC] == b"ustar":
        return Contents.TAR
    return _text_contents(start)


def _zip_contents(path: Path) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return Contents.CUT_ZIP
    records = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in records:
        return Contents.TORCHSCRIPT
    if "data.pkl" not in records:
        return Contents.OTHER_ZIP
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    return Contents.TORCH_ZIP if stored else Contents.TORCH_ZIP_PACKED


def _text_contents(start: bytes) -> Contents:
    try:
        # Incremental, as the last character read may be cut in the middle.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return Contents.UNKNOWN
    if any(not character.isprintable() and not character.isspace() for character in text):
        return Contents.UNKNOWN
    if text.lstrip().lower().startswith(("<!doctype", "<html")):
        return Contents.WEB_PAGE
    return Contents.LFS_POINTER if text.startswith("version https://git-lfs") else Contents.TEXT
