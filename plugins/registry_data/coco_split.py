"""The images of one split of a data set in COCO's format."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from registry.errors import RegistryError
from registry_data.coco_file import CocoFile, CocoImage, read_coco
from registry_data.holding_out import of_split
from registry_data.layout import check_split, need_file, need_files, need_folder, root_of
from registry_data.specs import CocoSpec


class CocoSplit(NamedTuple):
    """A file, the folder of its pictures, the images of the split, and the file that training reads, where it is there."""

    file: CocoFile
    folder: Path
    images: list[CocoImage]
    training_file: Path | None


def read_split(spec: CocoSpec, split: str) -> CocoSplit:
    """The images of `train` or `validation`, whose files are all there.

    Raises:
        RegistryError: the layout is another one, the file is wrong, pictures are missing, or the split is empty.
    """
    check_split(split)
    root = root_of(spec)
    one = spec.validation_fraction is not None
    files = spec.train if one or split == "train" else spec.validation_files()
    key = "train" if files is spec.train else "validation"
    path = need_file(root / files.annotations, root, f"COCO's annotations at `{key}.annotations: {files.annotations}`")
    folder = need_folder(root / files.images, root, f"the pictures at `{key}.images: {files.images}`")
    file = read_coco(path)
    images = list(file.images)
    if spec.validation_fraction is not None and images:
        names = [image.file_name for image in images]
        images = [images[i] for i in of_split(split, names, spec.validation_fraction, spec.seed)]
    if not images:
        raise RegistryError(f"the split `{split}` is empty: {path} lists no images")
    need_files(folder, [image.file_name for image in images], named_by=path)
    training = root / spec.train.annotations
    return CocoSplit(file, folder, images, training if training.is_file() else None)


def check_left(images: list[CocoImage], of: CocoSplit, why: str) -> None:
    """Raises RegistryError where nothing is left to train on."""
    if not images:
        raise RegistryError(f"the split `train` is empty: none of {len(of.images)} images of {of.file.path} {why}")
