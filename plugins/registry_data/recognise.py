"""Which data set a folder is, by its layout alone. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry.errors import RegistryError
from registry_data.layout import folders_in, held_by, pictures_in
from registry_data.recognise_table import table_settings

#: Share that is held out where a folder has no part to validate on.
FRACTION: Final = 0.2
_VALIDATION: Final = ("val", "validation", "valid")
#: Folders with a meaning in some layout, so that none of them is a class.
_STRUCTURE: Final = frozenset(
    {"train", *_VALIDATION, "test", "images", "masks", "labels", "annotations", "jpegimages", "imagesets"}
    | {"segmentationclass", "segmentationobject", "train2017", "val2017", "train2014", "val2014"}
)
#: Tasks of the types that can be recognised.
TASKS: Final = {
    "image_folder": "classification",
    "table": "classification",
    "coco_detection": "detection",
    "voc_detection": "detection",
    "coco_segmentation": "segmentation",
    "voc_segmentation": "segmentation",
    "mask_pairs": "segmentation",
}
_KNOWN: Final = (
    "train/CLASS/1.jpg and val/CLASS/2.jpg (image_folder), CLASS/1.jpg (image_folder, a part held out), "
    "annotations/instances_train.json and train/1.jpg (coco_*), JPEGImages and ImageSets (voc_*), images/1.jpg and "
    "masks/1.png (mask_pairs), labels.csv (table)"
)


@dataclass(frozen=True)
class Recognised:
    """What a folder may be: the type of data set, its settings beside `root`, and by what it was recognised."""

    type: str
    settings: dict[str, Any]
    by: str


def recognise(folder: Path, task: str | None = None) -> Recognised:
    """The one data set that a folder is.

    Args:
        task: only data sets of that task.

    Raises:
        RegistryError: no layout is recognised, or several are; says which, and what the folder holds.
    """
    found = [one for one in candidates(folder) if task in (None, TASKS[one.type])]
    if len(found) == 1:
        return found[0]
    suffix = f" for the task `{task}`" if task is not None else ""
    if not found:
        raise RegistryError(
            f"the layout of {folder} is not recognised{suffix}: {held_by(folder)}; known are {_KNOWN}; or write a document"
        )
    told = " or ".join(f"`{one.type}` ({one.by})" for one in found)
    tasks = sorted({TASKS[one.type] for one in found})
    hint = (
        f"say --task {' or --task '.join(tasks)}"
        if len(tasks) == len(found)
        else "write a document that names the type"
    )
    raise RegistryError(f"{folder} may be {told}{suffix}; {hint}")


def candidates(folder: Path) -> list[Recognised]:
    """Everything that a folder may be.

    Raises:
        RegistryError: it is no folder, or cannot be listed.
    """
    if not folder.is_dir():
        raise RegistryError(f"there is no folder {folder}; check the path")
    found = [*_voc(folder), *_coco(folder), *_mask_pairs(folder), *_image_folder(folder)]
    return [*found, *(Recognised("table", settings, by) for settings, by in table_settings(folder, FRACTION))]


def _classes_in(folder: Path) -> list[str]:
    """Folders that may be classes: they hold pictures, and have no other meaning."""
    if not folder.is_dir():
        return []
    return [n for n in folders_in(folder) if n.lower() not in _STRUCTURE and pictures_in(folder / n)]


def _image_folder(folder: Path) -> Iterator[Recognised]:
    if _classes_in(folder / "train"):
        for name in _VALIDATION:
            if _classes_in(folder / name):
                settings = {"train": "train", "validation": name}
                yield Recognised("image_folder", settings, f"train/CLASS and {name}/CLASS")
                return
        yield Recognised("image_folder", {"train": "train", "validation_fraction": FRACTION}, "train/CLASS")
    elif len(classes := _classes_in(folder)) > 1:
        yield Recognised("image_folder", {"validation_fraction": FRACTION}, f"{len(classes)} folders of pictures")


def _mask_pairs(folder: Path) -> Iterator[Recognised]:
    def both(below: Path) -> bool:
        return all((below / name).is_dir() and pictures_in(below / name) for name in ("images", "masks"))

    if both(folder):
        yield Recognised("mask_pairs", {"validation_fraction": FRACTION}, "images and masks")
    elif both(folder / "train"):
        other = next((name for name in _VALIDATION if both(folder / name)), None)
        held = {"validation": other} if other else {"validation_fraction": FRACTION}
        by = f"train and {other}, each with images and masks" if other else "train/images and train/masks"
        yield Recognised("mask_pairs", {"train": "train", **held}, by)


def _voc(folder: Path) -> Iterator[Recognised]:
    for task, kind, beside in (
        ("voc_detection", "Main", "Annotations"),
        ("voc_segmentation", "Segmentation", "SegmentationClass"),
    ):
        lists = folder / "ImageSets" / kind
        if (folder / "JPEGImages").is_dir() and (folder / beside).is_dir() and (lists / "train.txt").is_file():
            there = (lists / "val.txt").is_file()
            held = {"validation": "val"} if there else {"validation_fraction": FRACTION}
            yield Recognised(task, {"train": "train", **held}, f"JPEGImages, {beside} and ImageSets/{kind}")


def _coco(folder: Path) -> Iterator[Recognised]:
    found = _coco_files(folder)
    if found is None:
        return
    train, validation = found
    held = {"validation": validation} if validation else {"validation_fraction": FRACTION}
    by = " and ".join(files["annotations"] for files in (train, validation) if files)
    ids = {} if "2017" in train["annotations"] or "2014" in train["annotations"] else {"category_ids": None}
    yield Recognised("coco_detection", {"train": train, **held}, by)
    yield Recognised("coco_segmentation", {"train": train, **held, **ids}, by)


def _coco_files(folder: Path) -> tuple[dict[str, str], dict[str, str] | None] | None:
    """The files of training and of validation, where there are any."""
    for train, validations in (("train2017", ("val2017",)), ("train", _VALIDATION), ("train2014", ("val2014",))):
        first = _coco_split(folder, train)
        if first is not None:
            others = (_coco_split(folder, name) for name in validations)
            return first, next((other for other in others if other is not None), None)
    for name in (
        "instances.json",
        "annotations/instances.json",
        "annotations.json",
        "annotations/instances_default.json",
    ):
        if (folder / name).is_file():
            place = next((p for p in ("images/default", "images") if (folder / p).is_dir()), ".")
            return {"annotations": name, "images": place}, None
    return None


def _coco_split(folder: Path, name: str) -> dict[str, str] | None:
    for file, places in (
        (f"annotations/instances_{name}.json", (name, f"images/{name}", "images")),
        (f"{name}/_annotations.coco.json", (name,)),
    ):
        if (folder / file).is_file():
            place = next((p for p in places if os.path.isdir(folder / p)), name)
            return {"annotations": file, "images": place}
    return None
