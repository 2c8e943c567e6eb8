"""Which image files paths, folders and patterns stand for; nothing is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from registry.errors import ImageError

#: Paths that stand for nothing, each with the reason.
_Problems = list[tuple[str, ImageError]]

_SUFFIX: Final = re.compile(r"\.(a?png|avif|bmp|dib|gif|jfif|jp2|jpe?g?|mpo|p[bgnp]m|tga|tiff?|webp)", re.IGNORECASE)


def find_images(paths: Iterable[str], report: Callable[[str, ImageError], None] | None = None) -> list[Path]:
    """The image files that paths stand for, in the given order and each once.

    Args:
        paths: files, kept whatever their suffix; folders, for the files below them that have the suffix of an image,
            sorted; patterns with `*`, `?`, `[...]` and `**`, for such files among their matches. Hidden files and
            folders count only where they are named, and links to folders are not followed.
        report: told each path that does not exist or stands for no image file, and each folder that cannot be listed; the
            others are found all the same. Without it the first of them is raised.

    Raises:
        ImageError: as said, without `report`.
    """
    found: dict[str, Path] = {}
    for given in paths:
        problems: _Problems = []
        images = _meant(given, problems)
        if not images and not problems:
            text = f"no image file in {given!r}; name a file, or a folder or pattern that holds some"
            problems.append((given, ImageError(text)))
        for path, problem in problems:
            if report is None:
                raise problem
            report(path, problem)
        for image in images:
            found.setdefault(os.path.abspath(image), image)
    return list(found.values())


def _meant(given: str, problems: _Problems) -> list[Path]:
    """What one path stands for; what is wrong with it is added to the problems."""
    if os.path.isdir(given):
        return _below(Path(given), problems)
    if os.path.exists(given):
        return [Path(given)]
    if set(given) & set("*?["):
        return _matching(Path(given), problems)
    problems.append((given, ImageError(f"there is no file or folder {given!r}; check the path")))
    return []


def _below(folder: Path, problems: _Problems) -> list[Path]:
    def refuse(error: OSError) -> None:
        name = str(error.filename)
        problems.append((name, ImageError(f"cannot list folder {name!r}: {error.strerror}; make it readable")))

    images: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [Path(root, name) for name in files if not name.startswith(".")]
    return sorted(image for image in images if _SUFFIX.fullmatch(image.suffix))


def _matching(pattern: Path, problems: _Problems) -> list[Path]:
    try:
        matches = sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    except ValueError as error:  # before Python 3.13: ** beside other characters
        text = f"{str(pattern)!r} is not a pattern ({error}); write ** between slashes only"
        problems.append((str(pattern), ImageError(text)))
        return []
    images: list[Path] = []
    for match in matches:
        if all(part in (*pattern.parts, "..") or not part.startswith(".") for part in match.parts):
            images += _below(match, problems) if match.is_dir() else [match]
    return [image for image in images if _SUFFIX.fullmatch(image.suffix)]
