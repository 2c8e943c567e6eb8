"""Boxes in COCO's format. Source of what is dropped: torchvision's references/detection/coco_utils.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from registry.errors import RegistryError
from registry_data.boxes import BoxedPictures, RawBoxes
from registry_data.coco_file import CocoFile, CocoImage, categories_in
from registry_data.coco_split import CocoSplit, check_left, read_split
from registry_data.layout import some
from registry_data.names import BACKGROUND, NO_CLASS
from registry_data.specs import CocoDetectionSpec


def build(spec: CocoDetectionSpec, split: str) -> BoxedPictures:
    """The pictures of one split, `train` or `validation`.

    In training, images without annotations or only with boxes of a width or height of 1 or less are left out, and crowds are
    dropped from the others. In validation every image stays, and crowds are flagged.

    Raises:
        RegistryError: the layout is another one, the file is wrong, its categories do not fit, or the split is empty.
    """
    found = read_split(spec, split)
    numbers, names = labels_of(spec, found, split)
    images = found.images
    if split == "train":
        images = [image for image in images if has_box(found.file.of(image))]
        check_left(images, found, "has a box wider and higher than one pixel")
    raw = [_raw(image, found.file, numbers, crowds=split != "train") for image in images]
    data = BoxedPictures(found.folder, [image.file_name for image in images], raw, names)
    data.left_out = len(found.images) - len(images)
    return data


def has_box(annotations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some box, a crowd's too, is wider and higher than one pixel."""
    return any(min(annotation["bbox"][2:]) > 1 for annotation in annotations)


def labels_of(spec: CocoDetectionSpec, found: CocoSplit, split: str) -> tuple[dict[int, int], tuple[str, ...]]:
    """The label of each category id, and the class names in the order of labels, the background first."""
    own = found.file.categories
    if not own:
        raise RegistryError(f"{found.file.path} lists no categories")
    if spec.labels == "ids":
        if 0 in own:
            raise RegistryError(
                f"{found.file.path} has the category id 0 (`{own[0]}`), the background's label; write `labels: counted`"
            )
        if max(own) > 65_535:
            raise RegistryError(f"{found.file.path} has the category id {max(own)}; write `labels: counted`")
        names = [BACKGROUND, *(own.get(number, NO_CLASS) for number in range(1, max(own) + 1))]
        return {number: number for number in own}, tuple(names)
    if spec.categories is not None:
        _check_names(spec.categories, own, found.file.path)
        return {number: spec.categories.index(name) + 1 for number, name in own.items()}, (BACKGROUND, *spec.categories)
    order = own
    if split != "train" and spec.validation_fraction is None and found.training_file is not None:
        order = categories_in(found.training_file)
        if order != own:
            differ = sorted(set(order.items()) ^ set(own.items()))
            raise RegistryError(
                f"the categories of {found.file.path} are not those of {found.training_file}: "
                f"{some(f'{number} `{name}`' for number, name in differ)}; set `categories`"
            )
    return {number: label for label, number in enumerate(order, start=1)}, (BACKGROUND, *order.values())


def _check_names(wanted: Sequence[str], own: Mapping[int, str], path: Path) -> None:
    lacking = [name for name in wanted if name not in own.values()]
    more = [name for name in own.values() if name not in wanted]
    if lacking or more:
        told = [f"the file lacks {some(lacking)}"] * bool(lacking) + [f"`categories` lack {some(more)}"] * bool(more)
        raise RegistryError(f"the categories of {path} do not fit: {', and '.join(told)}; write them alike")


def _raw(image: CocoImage, file: CocoFile, numbers: Mapping[int, int], *, crowds: bool) -> RawBoxes:
    kept = [a for a in file.of(image) if crowds or not a.get("iscrowd", 0)]
    boxes = numpy.array([a["bbox"] for a in kept], dtype=numpy.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return RawBoxes(
        image.id,
        boxes.astype(numpy.float32),
        numpy.array([numbers[a["category_id"]] for a in kept], dtype=numpy.int64),
        numpy.array([a.get("iscrowd", 0) for a in kept], dtype=numpy.int64),
        numpy.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in kept], dtype=numpy.float32),
        image.size,
    )
