"""Pictures in one folder a class."""

from __future__ import annotations

from pathlib import Path

from registry.errors import RegistryError
from registry_data.holding_out import of_split
from registry_data.layout import check_split, folders_in, held_by, need_folder, pictures_below, root_of, some
from registry_data.pictures import LabelledPictures
from registry_data.specs import ImageFolderSpec

_LAYOUT = "a folder a class with pictures in it, such as {}"


def build(spec: ImageFolderSpec, split: str) -> LabelledPictures:
    """The pictures of one split, `train` or `validation`.

    The classes are those of the training folder, whatever the other one holds.

    Raises:
        RegistryError: the layout is another one, a class has no folder, or a split is empty.
    """
    check_split(split)
    root = root_of(spec)
    one = spec.validation_fraction is not None
    train = root / (spec.train or ("." if one else "train"))
    folder = train if one or split == "train" else root / (spec.validation or "val")
    need_folder(folder, root, _LAYOUT.format(folder / "CLASS" / "1.jpg"))
    categories = spec.categories or _categories(train if train.is_dir() else folder)
    _check_classes(folder, categories, split)
    names: list[str] = []
    labels: list[int] = []
    for label, category in enumerate(categories):
        if (folder / category).is_dir():
            found = pictures_below(folder / category)
            names += [f"{category}/{name}" for name in found]
            labels += [label] * len(found)
    if spec.validation_fraction is not None:
        chosen = of_split(split, names, spec.validation_fraction, spec.seed, labels)
        names, labels = [names[i] for i in chosen], [labels[i] for i in chosen]
    if not names:
        raise RegistryError(f"the split `{split}` is empty: {_found(folder)}; put {_LAYOUT.format('rose/1.jpg')} there")
    return LabelledPictures(folder, names, labels, categories)


def _categories(folder: Path) -> tuple[str, ...]:
    found = tuple(folders_in(folder))
    if not found:
        raise RegistryError(
            f"there is no class: expected {_LAYOUT.format(folder / 'CLASS' / '1.jpg')}, but {held_by(folder)}"
        )
    return found


def _check_classes(folder: Path, categories: tuple[str, ...], split: str) -> None:
    present = folders_in(folder)
    unknown = [name for name in present if name not in categories]
    if unknown:
        raise RegistryError(
            f"{folder} has folders that are no class: {some(unknown)}; the classes are {some(categories, 6)}: move them, or "
            "set `categories`"
        )
    absent = [name for name in categories if name not in present]
    if absent and split == "train":
        raise RegistryError(f"{folder} has no folder for the classes {some(absent)}; make them, or change `categories`")


def _found(folder: Path) -> str:
    names = folders_in(folder)
    return f"no picture lies in the class folders of {folder} ({some(names)})" if names else held_by(folder)
