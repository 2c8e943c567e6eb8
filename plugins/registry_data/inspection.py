"""Looking at every item of a data set: what is broken, which classes there are, what stands in both splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.errors import ImageError, RegistryError
from registry_data.faults import Fault
from registry_data.layout import some
from registry_data.names import BACKGROUND, IGNORED, NO_CLASS
from registry_data.pictures import LabelError, SizeError

if TYPE_CHECKING:
    from PIL import Image

#: Wraps the indices of a split: progress.
Watch = Callable[[range, str], Iterable[int]]
#: Boxes that third parties' data sets yield may leave the picture by so many pixels: rounding.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Problem:
    """A fault and where it is: the split, and the picture's name or None for a whole split."""

    split: str
    image: str | None
    fault: Fault


@dataclass
class Report:
    """What was found.

    Attributes:
        pictures: how many each split has.
        left_out: how many pictures of each split's files are not used, such as those without objects in training.
        counts: of each label, in each split, how many objects (detection) or pictures have it.
        categories: class names in the order of the labels, or None.
        problems: in the order of splits and pictures.
    """

    categories: tuple[str, ...] | None
    pictures: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    counts: dict[str, Counter[int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def name(self, label: int) -> str:
        """A label's class name."""
        known = self.categories is not None and 0 <= label < len(self.categories)
        return self.categories[label] if known and self.categories else f"class {label}"

    def classes(self) -> list[tuple[str, dict[str, int]]]:
        """Every class with its counts: those that are known, and labels that occur."""
        labels = set(range(len(self.categories or ()))).union(*self.counts.values())
        rows = [(label, self.name(label)) for label in sorted(labels)]
        return [(name, {s: self.counts[s][label] for s in self.counts}) for label, name in rows if name != NO_CLASS]

    def severities(self) -> Counter[str]:
        """How many errors and warnings there are."""
        return Counter(problem.fault.severity for problem in self.problems)


def inspect(splits: Mapping[str, Any], watch: Watch = lambda indices, label: indices) -> Report:
    """Reads every item of some splits, as `build` returns them.

    Any data set whose items are as its task's are can be looked at: labels from 0, mappings with `boxes` and `labels`, or masks
    of ids. Of other targets only the pictures are looked at.
    """
    first = next(iter(splits.values()))
    report = Report(getattr(first, "categories", None))
    seen: dict[bytes, tuple[str, str]] = {}
    for split, data in splits.items():
        report.pictures[split] = len(data)
        report.left_out[split] = getattr(data, "left_out", 0)
        report.counts[split] = Counter()
        for index in watch(range(len(data)), split):
            name = data.name_of(index) if hasattr(data, "name_of") else f"picture {index}"
            for fault in _item(report, split, data, index, name, seen):
                report.problems.append(Problem(split, name, fault))
    report.problems += _empty_classes(report)
    return report


def _item(
    report: Report, split: str, data: Any, index: int, name: str, seen: dict[bytes, tuple[str, str]]
) -> Iterator[Fault]:
    try:
        picture, target = data[index]
    except Exception as error:  # data sets of third parties raise anything
        yield _unreadable(error)
        return
    digest = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).digest()
    other = seen.setdefault(digest, (split, name))
    if other[0] != split:
        yield Fault("duplicate", "error", f"it is pixel for pixel `{other[1]}` of the split `{other[0]}`")
    labels, faults = _read(picture, target, report.categories)
    report.counts[split].update(labels)
    yield from faults
    if hasattr(data, "faults"):
        try:
            yield from data.faults(index)
        except RegistryError as error:
            yield _unreadable(error)


def _unreadable(error: Exception) -> Fault:
    if isinstance(error, SizeError):
        return Fault("size", "error", str(error))
    if isinstance(error, LabelError):
        return Fault("label", "error", str(error))
    text = str(error) if isinstance(error, (ImageError, RegistryError)) else f"{type(error).__name__}: {error}"
    return Fault("broken", "error", text)


def _read(picture: Image.Image, target: Any, categories: tuple[str, ...] | None) -> tuple[list[int], list[Fault]]:
    """The labels of a target, one an object or class, and what is wrong with it."""
    if isinstance(target, int):
        return _known([target], categories, ignored=None)
    if isinstance(target, Mapping) and "boxes" in target and "labels" in target:
        labels, faults = _known(target["labels"].tolist(), categories, ignored=None)
        return labels, [*faults, *_boxes(picture, target["boxes"].tolist())]
    shape = tuple(getattr(target, "shape", ()))
    if len(shape) == 2 and hasattr(target, "unique"):
        if shape != (picture.height, picture.width):
            text = f"its mask is {shape[1]}x{shape[0]} pixels, and the picture {picture.width}x{picture.height}"
            return [], [Fault("size", "error", text)]
        return _known(target.unique().tolist(), categories, ignored=IGNORED)
    return [], []


def _known(labels: list[int], categories: tuple[str, ...] | None, ignored: int | None) -> tuple[list[int], list[Fault]]:
    labels = [label for label in labels if label != ignored]
    most = None if categories is None else len(categories)
    unknown = sorted({label for label in labels if label < 0 or (most is not None and label >= most)})
    if not unknown:
        return labels, []
    limit = f"classes are 0 to {most - 1}" if most is not None else "labels begin at 0"
    text = f"it has the labels {', '.join(map(str, unknown[:8]))}; {limit}"
    return [label for label in labels if label not in unknown], [Fault("label", "error", text)]


def _boxes(picture: Image.Image, boxes: list[list[float]]) -> Iterator[Fault]:
    for x1, y1, x2, y2 in boxes:
        shown = f"the box [{x1:g}, {y1:g}, {x2:g}, {y2:g}] (corners)"
        if not (x1 < x2 and y1 < y2):
            yield Fault("box", "error", f"{shown} has no area")
        elif min(x1, y1) < -_TOLERANCE or x2 > picture.width + _TOLERANCE or y2 > picture.height + _TOLERANCE:
            yield Fault("box", "error", f"{shown} leaves the picture of {picture.width}x{picture.height} pixels")


def _empty_classes(report: Report) -> Iterator[Problem]:
    """For each split, the classes that no item has; the background may have none."""
    known = [(label, name) for label, name in enumerate(report.categories or ()) if name != NO_CLASS]
    for split, counts in report.counts.items():
        unused = [name for label, name in known if not counts[label] and (label, name) != (0, BACKGROUND)]
        if unused:
            many = f"{len(unused)} classes do not occur" if len(unused) > 1 else "a class does not occur"
            yield Problem(split, None, Fault("class", "warning", f"{many}: {some(unused, 6)}"))
