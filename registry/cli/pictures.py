"""The pictures that `registry predict` writes: under which names, and what they may replace."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from registry.errors import ImageError, RegistryError
from registry.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

#: Keyword and text by which a picture tells who wrote it; a later run may replace it.
_MARK: Final = ("Software", "vision-registry")
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Most bytes of a name: file systems take 255, of which the file that is written first and renamed needs some.
_LONGEST: Final = 200
#: Most bytes of a suffix that a shortened name keeps.
_LONGEST_SUFFIX: Final = 16


def check_folder(folder: str) -> None:
    """Checks that pictures can be written into a folder, or that it can be made; nothing is left.

    Raises:
        click.BadParameter: says why not.
    """
    if not folder:
        raise click.BadParameter("name a folder; `.` is the working folder", param_hint="--output")
    places = (Path(folder), *Path(folder).parents)
    there = next((path for path in places if os.path.lexists(path)), None)
    if there is not None and not there.is_dir():
        hint = "name a folder, which is made where there is none"
        raise click.BadParameter(f"{str(there)!r} is a file; {hint}", param_hint="--output")
    missing = [path for path in places if not os.path.lexists(path)]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=".", dir=folder))
    except OSError as error:
        reason = error.strerror or error
        text = f"nothing can be written into {folder!r}: {reason}; name another folder"
        raise click.BadParameter(text, param_hint="--output") from error
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


class Pictures:
    """Writes pictures into one folder, each under a name that nothing else has.

    Files that this class did not write are never replaced; pictures of earlier runs are.

    Attributes:
        count: how many were written.
    """

    def __init__(self, folder: str, images: Iterable[Path], tell: Callable[[str, RegistryError], None]) -> None:
        """Keeps the names of `images` free; `tell` is told of each picture that cannot be written."""
        self.count = 0
        self._folder = Path(folder)
        self._tell = tell
        self._taken = {_key(image) for image in images}

    def write(self, image: Path, pictures: Mapping[str, Image.Image]) -> dict[str, str]:
        """Writes the pictures of an image, given by the ends of their names, and returns the paths of those written."""
        written: dict[str, str] = {}
        paths = self._free(image.name, list(pictures))
        for (ending, picture), path in zip(pictures.items(), paths, strict=True):
            try:
                _write(picture, path)
            except OSError as error:
                reason = error.strerror or error
                self._tell(str(image), ImageError(f"{str(path)!r} cannot be written: {reason}"))
            else:
                written[ending] = str(path)
        self.count += len(written)
        return written

    def _free(self, name: str, endings: list[str]) -> list[Path]:
        """A path for each ending; where one of the names is taken, all get the same number."""
        number = 1
        while True:
            added = "" if number == 1 else f"-{number}"
            room = _LONGEST - max((len(os.fsencode(added + ending)) for ending in endings), default=0)
            stem = f"{_shortened(name, room)}{added}"
            paths = [self._folder / f"{stem}{ending}" for ending in endings]
            keys = {_key(path) for path in paths}
            if not keys & self._taken and all(_is_replaceable(path) for path in paths):
                self._taken |= keys
                return paths
            number += 1


def _key(path: Path) -> str:
    """What tells a path from others; some file systems ignore letter case."""
    return os.path.abspath(path).casefold()


def _shortened(name: str, room: int) -> str:
    """A name of at most so many bytes: the start, a sum of the whole name, and the suffix."""
    if len(os.fsencode(name)) <= room:
        return name
    suffix = Path(name).suffix
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        suffix = ""
    end = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}{suffix}"
    start = name[:room]
    while len(os.fsencode(start + end)) > room:
        start = start[:-1]
    return start + end


def _is_replaceable(path: Path) -> bool:
    """True where there is nothing, or a picture with the mark."""
    if not os.path.lexists(path):
        return True
    if not path.is_file():
        return False
    mark = "\0".join(_MARK).encode("latin-1")
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
            position = len(_SIGNATURE)
            while len(head := file.read(8)) == 8:
                length, kind = struct.unpack(">I4s", head)
                if kind == b"IDAT":  # the mark stands before the pixels
                    return False
                if kind == b"tEXt" and file.read(min(length, len(mark) + 1)) == mark:
                    return True
                file.seek(position := position + length + 12)
    except OSError:
        pass
    return False


def _write(picture: Image.Image, path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(*_MARK)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
