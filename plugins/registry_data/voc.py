"""Pascal VOC: boxes and masks, with the lists of pictures in ImageSets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy

from registry.errors import RegistryError
from registry_data.boxes import BoxedPictures, RawBoxes
from registry_data.holding_out import of_split
from registry_data.layout import Complaints, check_split, need_file, need_files, need_folder, root_of, some
from registry_data.mask_pairs import MaskedPictures
from registry_data.paths import leaves
from registry_data.specs import VocDetectionSpec, VocSegmentationSpec, VocSpec

_LARGEST: Final = 4 * 2**20
_LAYOUT: Final = "Pascal VOC's layout: JPEGImages, ImageSets and {}, as in VOCdevkit/VOC2012"


def build_segmentation(spec: VocSegmentationSpec, split: str) -> MaskedPictures:
    """The pictures and masks of one split, `train` or `validation`.

    Raises:
        RegistryError: the layout is another one, pictures or masks are missing, or the split is empty.
    """
    root, ids = _listed(spec, split, "Segmentation", "SegmentationClass")
    masks = root / "SegmentationClass"
    names = [f"{name}.jpg" for name in ids]
    need_files(masks, [f"{name}.png" for name in ids], named_by=root / "ImageSets")
    return MaskedPictures(root / "JPEGImages", names, [masks / f"{name}.png" for name in ids], spec.class_names())


def build_detection(spec: VocDetectionSpec, split: str) -> BoxedPictures:
    """The pictures and boxes of one split, `train` or `validation`.

    VOC counts pixels from 1 and its corners are inside the box: xmin..xmax becomes xmin - 1..xmax. Difficult objects are left
    out of training and flagged as crowds in validation, unless `difficult: kept`. Pictures without objects stay.

    Raises:
        RegistryError: the layout is another one, an annotation is wrong, or the split is empty.
    """
    root, ids = _listed(spec, split, "Main", "Annotations")
    folder = root / "Annotations"
    need_files(folder, [f"{name}.xml" for name in ids], named_by=root / "ImageSets")
    wrong = Complaints(folder)
    raw = [_boxes(folder / f"{name}.xml", number, spec, split, wrong) for number, name in enumerate(ids, start=1)]
    wrong.tell("mend them, or set `categories`")
    return BoxedPictures(root / "JPEGImages", [f"{name}.jpg" for name in ids], raw, spec.class_names())


def _listed(spec: VocSpec, split: str, kind: str, beside: str) -> tuple[Path, list[str]]:
    """The folder, and the ids of the split's pictures, which are there."""
    check_split(split)
    root = root_of(spec)
    layout = _LAYOUT.format(beside)
    for name in ("JPEGImages", f"ImageSets/{kind}", beside):
        need_folder(root / name, root, layout)
    one = spec.validation_fraction is not None
    chosen = spec.train if one or split == "train" else spec.validation or "val"
    file = need_file(root / "ImageSets" / kind / f"{chosen}.txt", root, f"the list of the split `{split}`")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{file} cannot be read: {error}") from error
    ids = list(dict.fromkeys(line.split()[0] for line in lines if line.split()))
    outside = [name for name in ids if leaves(name)]
    if outside:
        raise RegistryError(
            f"{file} names pictures outside of {root / 'JPEGImages'}: {some(outside)}; write names alone"
        )
    if spec.validation_fraction is not None and ids:
        ids = [ids[i] for i in of_split(split, ids, spec.validation_fraction, spec.seed)]
    if not ids:
        raise RegistryError(f"the split `{split}` is empty: {file} names no picture")
    need_files(root / "JPEGImages", [f"{name}.jpg" for name in ids], named_by=file)
    return root, ids


def _boxes(file: Path, number: int, spec: VocDetectionSpec, split: str, wrong: Complaints) -> RawBoxes:
    root = _parsed(file)
    boxes, labels, crowd = [], [], []
    for entry in root.iter("object"):
        name = (entry.findtext("name") or "").strip()
        if name not in spec.categories:
            wrong.add(f"{file.name}: the object `{name}` is no class")
            continue
        sides = [_number(entry.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
        if None in sides:
            wrong.add(f"{file.name}: the object `{name}` has no bndbox of four numbers")
            continue
        flagged = spec.difficult == "ignored" and (entry.findtext("difficult") or "0").strip() == "1"
        if flagged and split == "train":
            continue
        x1, y1, x2, y2 = (side for side in sides if side is not None)
        boxes.append([x1 - 1, y1 - 1, x2, y2])
        labels.append(spec.categories.index(name) + 1)
        crowd.append(int(flagged))
    found = numpy.array(boxes, dtype=numpy.float32).reshape(-1, 4)
    size = [_number(root.findtext(f"size/{key}")) for key in ("height", "width")]
    return RawBoxes(
        number,
        found,
        numpy.array(labels, dtype=numpy.int64),
        numpy.array(crowd, dtype=numpy.int64),
        ((found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])).clip(0),
        (int(size[0]), int(size[1])) if size[0] and size[1] else None,
    )


def _parsed(file: Path) -> ElementTree.Element:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise RegistryError(f"{file} is larger than {_LARGEST // 2**20} MiB, and no annotation of a picture")
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise RegistryError(f"{file} declares a document type, which annotations do not need; remove it")
        return ElementTree.fromstring(data)
    except OSError as error:
        raise RegistryError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RegistryError(f"{file} is not XML: {error}; write it again") from error


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and abs(value) < 1e9 else None
