"""Which image files paths, folders and patterns stand for; nothing is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from registry.errors import ImageError

_SUFFIX: Final = re.compile(r"\.(a?png|avif|bmp|dib|gif|jfif|jp2|jpe?g?|mpo|p[bgnp]m|tga|tiff?|webp)", re.IGNORECASE)


def find_images(paths: Iterable[str]) -> list[Path]:
    """The image files that paths stand for, in the given order and each once.

    Args:
        paths: files, kept whatever their suffix; folders, for the files below them that have the suffix of an image,
            sorted; patterns with `*`, `?`, `[...]` and `**`, for such files among their matches. Hidden files and
            folders count only where they are named, and links to folders are not followed.

    Raises:
        ImageError: a path that does not exist or stands for no image file, or a folder that cannot be listed.
    """
    found: dict[str, Path] = {}
    for given in paths:
        if os.path.exists(given):
            images = _below(Path(given)) if os.path.isdir(given) else [Path(given)]
        elif set(given) & set("*?["):
            images = _matching(Path(given))
        else:
            raise ImageError(f"there is no file or folder {given!r}; check the path")
        if not images:
            raise ImageError(f"no image file in {given!r}; name a file, or a folder or pattern that holds some")
        for image in images:
            found.setdefault(os.path.abspath(image), image)
    return list(found.values())


def _below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise ImageError(f"cannot list folder {str(error.filename)!r}: {error.strerror}; make it readable") from error

    images: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [Path(root, name) for name in files if not name.startswith(".")]
    return sorted(image for image in images if _SUFFIX.fullmatch(image.suffix))


def _matching(pattern: Path) -> list[Path]:
    try:
        matches = sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    except ValueError as error:  # before Python 3.13: ** beside other characters
        raise ImageError(f"{str(pattern)!r} is not a pattern ({error}); write ** between slashes only") from error
    images: list[Path] = []
    for match in matches:
        if all(part in (*pattern.parts, "..") or not part.startswith(".") for part in match.parts):
            images += _below(match) if match.is_dir() else [match]
    return [image for image in images if _SUFFIX.fullmatch(image.suffix)]
