"""Pictures and labels that a CSV or JSON-lines file names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from registry.errors import RegistryError
from registry_data.holding_out import of_split
from registry_data.layout import Complaints, check_split, need_file, need_files, need_folder, root_of, some
from registry_data.paths import leaves
from registry_data.pictures import LabelledPictures
from registry_data.rows import Row, read_rows
from registry_data.specs import TableSpec


class _Item(NamedTuple):
    path: str
    label: str | int
    split: str


def build(spec: TableSpec, split: str) -> LabelledPictures:
    """The pictures of one split, `train` or `validation`.

    Raises:
        RegistryError: the table cannot be read, lacks a column, holds labels that are no class or paths that are no file, or
            the split is empty.
    """
    check_split(split)
    root = root_of(spec)
    file = need_file(root / spec.table, root, f"a table at `table: {spec.table}`")
    folder = need_folder(root / spec.images, root, f"the pictures at `images: {spec.images}`")
    items = _items(spec, file)
    categories, labels = _labels(spec, file, items)
    if spec.validation_fraction is not None:
        chosen = of_split(split, [item.path for item in items], spec.validation_fraction, spec.seed, labels)
    else:
        wanted = spec.train_value if split == "train" else spec.validation_value
        chosen = [index for index, item in enumerate(items) if item.split == wanted]
        if not chosen:
            held = some(sorted({repr(item.split) for item in items}), 6)
            text = (
                f"the split `{split}` is empty: no row of {file} has `{wanted}` in the column `{_split_column(spec)}`"
            )
            raise RegistryError(f"{text}, which holds {held}; set `{_setting(split)}`, or `validation_fraction`")
    names = [items[i].path for i in chosen]
    need_files(folder, names, named_by=file)
    return LabelledPictures(folder, names, [labels[i] for i in chosen], categories)


def _setting(split: str) -> str:
    return f"{split}_value"


def _split_column(spec: TableSpec) -> str | None:
    return spec.split_column or ("split" if spec.validation_fraction is None else None)


def _items(spec: TableSpec, file: Path) -> list[_Item]:
    rows = read_rows(file)
    if not rows:
        raise RegistryError(f"{file} has no rows; write one a picture")
    column = _split_column(spec)
    wanted = {"path_column": spec.path_column, "label_column": spec.label_column, "split_column": column}
    _check_columns(wanted, rows, file)
    wrong, seen = Complaints(file), dict[str, int]()
    items = []
    for line, row in rows:
        path, label, part = (row.get(name) if name else "" for name in wanted.values())
        if not isinstance(path, str) or not path or leaves(path):
            wrong.add(f"line {line}: the path is {path!r}, not one below {spec.images}")
            continue
        if isinstance(label, bool) or not isinstance(label, (str, int)) or label == "":
            wrong.add(f"line {line}: the label is {label!r}")
            continue
        if seen.setdefault(path, line) != line:
            wrong.add(f"line {line}: {path} stands in line {seen[path]} already")
            continue
        items.append(_Item(path, label, str(part)))
    wrong.tell("mend them")
    return items


def _check_columns(wanted: Mapping[str, str | None], rows: list[Row], file: Path) -> None:
    line, first = rows[0]
    for setting, column in wanted.items():
        if column is not None and column not in first:
            way = " or `validation_fraction`" if setting == "split_column" else ""
            raise RegistryError(
                f"{file} has no column `{column}` (line {line} has {some(first, 12)}); set `{setting}`{way}"
            )


def _labels(spec: TableSpec, file: Path, items: list[_Item]) -> tuple[tuple[str, ...] | None, list[int]]:
    """Class names, where they are known, and the label of each item."""
    wrong = Complaints(file)
    if spec.labels == "indices":
        most = len(spec.categories) if spec.categories else None
        found = []
        for item in items:
            text = str(item.label).strip()
            index = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
            if index < 0 or (most is not None and index >= most):
                limit = f"0 to {most - 1}" if most is not None else "a whole number from 0"
                wrong.add(f"{item.path}: the label is {item.label!r}, not {limit}")
            found.append(index)
        wrong.tell("mend them, or set `labels` or `categories`")
        return spec.categories, found
    names = spec.categories or tuple(sorted({str(item.label) for item in items}))
    number = {name: index for index, name in enumerate(names)}
    for item in items:
        if str(item.label) not in number:
            wrong.add(f"{item.path}: the label `{item.label}` is no class")
    wrong.tell(f"the classes are {some(names, 6)}: mend the labels, or `categories`")
    return names, [number[str(item.label)] for item in items]
