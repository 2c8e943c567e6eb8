"""Entry points of installed distributions, read from their metadata folders.

Importing and asking `importlib.metadata` takes longer than all other work of a start. Its rules hold here too: of
distributions of one name, the first on `sys.path` counts. Where anything is installed in another form than as a folder of
metadata in a folder on `sys.path`, such as in a zip file or behind a finder of its own, it is asked after all.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_FORMS = (".dist-info", ".egg-info")


class EntryPoint(NamedTuple):
    """A name that a distribution gives to one of its objects.

    Attributes:
        value: `module` or `module:attribute`.
        head: the lines of the distribution's metadata before its description; empty where there are none to read.
    """

    name: str
    value: str
    group: str
    head: str

    def load(self) -> Any:
        """Imports and returns the object; raises whatever that raises."""
        if _MODULE.fullmatch(self.value):
            return importlib.import_module(self.value)
        from importlib.metadata import EntryPoint as Usual

        return Usual(self.name, self.value, self.group).load()


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group, those of distributions whose own cannot be read left out."""
    folders = _metadata_folders()
    if folders is None:
        return list(_asked(group))
    return [point for folder in folders for point in _in_folder(folder, group)]


def _metadata_folders() -> list[str] | None:
    """The metadata folder of each distribution, or None where there are distributions in other forms."""
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        return None
    found: dict[str, str] = {}
    for entry in sys.path:
        if not isinstance(entry, str) or entry.lower().endswith(".egg"):
            return None
        place = entry or "."
        try:
            names = os.listdir(place)
        except (FileNotFoundError, PermissionError):
            continue
        except (OSError, ValueError):  # a file, such as a zip file
            return None
        for name in names:
            if name.lower().endswith(_FORMS):
                found.setdefault(_normal(name), os.path.join(place, name))
    return list(found.values())


def _normal(folder: str) -> str:
    """The name of a distribution by that of its metadata folder, such as `my_plugin` for `My.Plugin-1.0.dist-info`."""
    name = os.path.splitext(folder)[0].partition("-")[0]
    return re.sub(r"[-_.]+", "_", name).lower()


def _in_folder(folder: str, group: str) -> Iterator[EntryPoint]:
    try:
        with open(os.path.join(folder, "entry_points.txt"), "rb") as file:
            data = file.read()
    except OSError:
        return
    if group.encode() not in data:
        return
    try:
        pairs = _pairs(data.decode(), group)
    except ValueError:
        return
    if pairs:
        head = _head(folder)
        yield from (EntryPoint(name, value, group, head) for name, value in pairs)


def _pairs(text: str, group: str) -> list[tuple[str, str]]:
    """Names and values in a section of the file.

    Raises:
        ValueError: a line of any section is none of theirs.
    """
    found: list[tuple[str, str]] = []
    section: str | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif line and not line.startswith("#") and section is not None:
            name, sign, value = line.partition("=")
            if not sign:
                raise ValueError(line)
            if section == group:
                found.append((name.strip(), value.strip()))
    return found


def _head(folder: str) -> str:
    for name in ("METADATA", "PKG-INFO"):
        with contextlib.suppress(OSError, UnicodeError), open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
            if text:
                return _before_description(text)
    return ""


def _before_description(text: str) -> str:
    return text.partition("\n\n")[0]


def _asked(group: str) -> Iterator[EntryPoint]:
    """The entry points as `importlib.metadata` knows them."""
    import importlib.metadata as metadata

    try:
        points = list(metadata.entry_points(group=group))
    except Exception:  # of any distribution that is installed; which one, only asking each tells
        points = []
        for distribution in metadata.distributions():
            with contextlib.suppress(Exception):
                points += distribution.entry_points.select(group=group)
    for point in points:
        yield EntryPoint(point.name, point.value, group, _head_of(point.dist))


def _head_of(distribution: Any) -> str:
    for name in ("METADATA", "PKG-INFO") if distribution is not None else ():
        with contextlib.suppress(OSError, UnicodeError):  # of a distribution that says nothing readable of itself
            text = distribution.read_text(name)
            if text:
                return _before_description(text)
    return ""
