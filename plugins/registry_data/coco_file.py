"""Annotation files in COCO's format, read and checked as a whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from registry.errors import RegistryError
from registry_data.layout import Complaints

_LARGEST: Final = 2 * 2**30
_FORM: Final = "a COCO file holds the lists `images`, `annotations` and `categories`"


@dataclass(frozen=True)
class CocoImage:
    """A picture of the file: its id, its path below the folder of pictures, and the size that the file says, if it does."""

    id: int
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class CocoFile:
    """What a file holds.

    Attributes:
        images: sorted by id, as torchvision.datasets.CocoDetection has them.
        categories: names by id, in the order of the file.
        annotations: those of each image id, in the order of the file.
    """

    path: Path
    images: tuple[CocoImage, ...]
    categories: Mapping[int, str]
    annotations: Mapping[int, list[dict[str, Any]]]

    def of(self, image: CocoImage) -> list[dict[str, Any]]:
        """The annotations of an image."""
        return self.annotations.get(image.id, [])


def read_coco(path: Path) -> CocoFile:
    """Reads and checks a file.

    Raises:
        RegistryError: it cannot be read, is over 2 GiB, is not JSON, lacks a list, or holds entries that are wrong: ids that
            stand twice or lead nowhere, boxes that are not four finite numbers. The first few are named.
    """
    held = _read_json(path)
    keys = ("images", "annotations", "categories")
    lists: dict[str, Any] = {key: held.get(key) if isinstance(held, dict) else None for key in keys}
    lacking = [key for key, value in lists.items() if not isinstance(value, list)]
    if lacking:
        raise RegistryError(f"{path} has no list `{'`, `'.join(lacking)}`; {_FORM}")
    wrong = Complaints(path)
    images = _images(lists["images"], wrong)
    categories = _categories(lists["categories"], wrong)
    wrong.tell("mend the file")
    annotations = _annotations(lists["annotations"], images, categories, wrong)
    wrong.tell("mend the file")
    return CocoFile(path, tuple(images[key] for key in sorted(images)), categories, annotations)


def categories_in(path: Path) -> dict[int, str]:
    """The categories of a file alone, by id; kept while the file stays as it is."""
    try:
        found = path.stat()
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}") from error
    return dict(_kept_categories(path, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=16)
def _kept_categories(path: Path, _changed: int, _size: int) -> tuple[tuple[int, str], ...]:
    held = _read_json(path)
    listed = held.get("categories") if isinstance(held, dict) else None
    if not isinstance(listed, list):
        raise RegistryError(f"{path} has no list `categories`; {_FORM}")
    wrong = Complaints(path)
    found = _categories(listed, wrong)
    wrong.tell("mend the file")
    return tuple(found.items())


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise RegistryError(f"{path} has {size / 2**30:.1f} GiB, over the limit of 2 GiB; split it")
        return json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}; check the path") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise RegistryError(f"{path} is not JSON that can be read: {error or type(error).__name__}; {_FORM}") from error


def _refuse(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _pair(entry: Any, *keys: str) -> list[Any]:
    """Two values of a mapping, None where there is none."""
    return [entry.get(key) if isinstance(entry, dict) else None for key in keys]


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _images(entries: list[Any], wrong: Complaints) -> dict[int, CocoImage]:
    images: dict[int, CocoImage] = {}
    names: dict[str, int] = {}
    for index, entry in enumerate(entries):
        number, name = _pair(entry, "id", "file_name")
        if not _whole(number) or not isinstance(name, str) or not name:
            wrong.add(f"images[{index}] has no whole `id` and `file_name`")
            continue
        if number in images or name in names:
            twice = f"the id {number}" if number in images else f"`{name}`"
            wrong.add(f"images[{index}] has {twice}, which another image has")
            continue
        sides = entry.get("height"), entry.get("width")
        known = all(_whole(side) and side > 0 for side in sides)
        if not known and sides != (None, None):
            wrong.add(f"images[{index}] (`{name}`) is {sides[1]!r} wide and {sides[0]!r} high")
        names[name] = number
        images[number] = CocoImage(number, name, (sides[0], sides[1]) if known else None)
    return images


def _categories(entries: list[Any], wrong: Complaints) -> dict[int, str]:
    found: dict[int, str] = {}
    for index, entry in enumerate(entries):
        number, name = _pair(entry, "id", "name")
        if not _whole(number) or number < 0 or not isinstance(name, str) or not name:
            wrong.add(f"categories[{index}] has no whole `id` from 0 and `name`")
        elif number in found or name in found.values():
            wrong.add(f"categories[{index}] has the id {number} or the name `{name}`, which another category has")
        else:
            found[number] = name
    return found


def _annotations(
    entries: list[Any], images: Mapping[int, CocoImage], categories: Mapping[int, str], wrong: Complaints
) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for index, entry in enumerate(entries):
        problem = _problem(entry, images, categories)
        if problem:
            number = entry.get("id") if isinstance(entry, dict) else None
            wrong.add(f"annotations[{index}]{f' (id {number})' if _whole(number) else ''} {problem}")
        else:
            found.setdefault(entry["image_id"], []).append(entry)
    return found


def _problem(entry: Any, images: Mapping[int, CocoImage], categories: Mapping[int, str]) -> str | None:
    """What is wrong with an annotation."""
    if not isinstance(entry, dict):
        return "is no mapping"
    for key, known in (("image_id", images), ("category_id", categories)):
        value = entry.get(key)
        if not _whole(value) or value not in known:
            return f"has the {key} {value!r}, which no {key.removesuffix('_id')} has"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_number(side) for side in box):
        return f"has the bbox {box!r}; write [x, y, width, height]"
    if box[2] < 0 or box[3] < 0:
        return f"has the bbox {box!r}, whose width or height is negative"
    if type(entry.get("iscrowd", 0)) is not int or entry.get("iscrowd", 0) not in (0, 1):
        return f"has the iscrowd {entry['iscrowd']!r}; write 0 or 1"
    area = entry.get("area", 0)
    return None if _number(area) and area >= 0 else f"has the area {area!r}"


def _number(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12 and math.isfinite(value)
    )
