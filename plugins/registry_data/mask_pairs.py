"""Pictures and masks of the same names, in two folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from registry.errors import RegistryError
from registry_data.holding_out import of_split
from registry_data.layout import check_split, held_by, need_folder, pictures_below, root_of, some
from registry_data.pictures import Pictures, mask_of
from registry_data.specs import MaskPairsSpec


class MaskedPictures(Pictures):
    """Pictures with a mask of ids each."""

    def __init__(
        self, folder: Path, names: Sequence[str], masks: Sequence[Path], categories: tuple[str, ...] | None
    ) -> None:
        super().__init__(folder, names, categories)
        self._masks = list(map(str, masks))

    def __getitem__(self, index: int) -> tuple[Image.Image, torch.Tensor]:
        """The picture and its ids, uint8 or int64 (H, W)."""
        picture = self.picture(index)
        classes = None if self.categories is None else len(self.categories)
        return picture, mask_of(Path(self._masks[index]), picture, classes)


def build(spec: MaskPairsSpec, split: str) -> MaskedPictures:
    """The pairs of one split, `train` or `validation`.

    Raises:
        RegistryError: the layout is another one, a picture has no mask or a mask no picture, or the split is empty.
    """
    check_split(split)
    root = root_of(spec)
    one = spec.validation_fraction is not None
    train = root / (spec.train or ("." if one else "train"))
    folder = train if one or split == "train" else root / (spec.validation or "val")
    layout = f"pictures such as {folder / spec.images / '7.jpg'} and masks such as {folder / spec.masks / '7.png'}"
    images, masks = (need_folder(folder / name, root, layout) for name in (spec.images, spec.masks))
    pictures, masked = by_stem(images), by_stem(masks)
    if not pictures:
        raise RegistryError(f"the split `{split}` is empty: expected {layout}, but {held_by(images)}")
    lacking = [name for stem, name in pictures.items() if stem not in masked]
    if lacking:
        raise RegistryError(f"{len(lacking)} pictures of {images} have no mask in {masks}: {some(lacking)}")
    lone = [name for stem, name in masked.items() if stem not in pictures]
    if lone:
        raise RegistryError(f"{len(lone)} masks of {masks} have no picture in {images}: {some(lone)}")
    names = list(pictures.values())
    if spec.validation_fraction is not None:
        names = [names[i] for i in of_split(split, names, spec.validation_fraction, spec.seed)]
    files = [masks / masked[os.path.splitext(name)[0]] for name in names]
    return MaskedPictures(images, names, files, spec.categories)


def by_stem(folder: Path) -> dict[str, str]:
    """Paths of the pictures below a folder, by the path without suffix.

    Raises:
        RegistryError: two differ in their suffix alone.
    """
    found: dict[str, str] = {}
    for name in pictures_below(folder):
        stem = os.path.splitext(name)[0]
        if found.setdefault(stem, name) != name:
            raise RegistryError(
                f"{folder} holds both {found[stem]} and {name}; keep one, as their names must tell them apart"
            )
    return found
