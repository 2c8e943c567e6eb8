"""What differs between two resolved documents, by meaning: specs are compared, not the texts they were written as."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Generic, TypeVar

from registry.catalog.documents import OWN_KEYS, EnvelopeSpec
from registry.catalog.explain import Explanation, Keys
from registry.catalog.merge import DISCRIMINATORS
from registry.catalog.references import user_path
from registry.source import Span, plain
from registry.specs import FeatureMap, ModelSpec, PartSpec, TaskSpec

T = TypeVar("T")

#: Keys about a document alone: two names of one model are no difference between models.
ALONE = (*OWN_KEYS, "references")
#: A list of scalars up to this length is one value; a longer one is compared item by item.
_LONG = 12
#: What a row costs that only one side has, when rows are paired, where a row of which all settings differ costs 1.
_GAP = 0.4
#: Pairs of rows up to which the best pairing is sought.
_MANY = 40_000

#: Class names of a task; None where it names none.
Categories = Callable[[TaskSpec], "tuple[str, ...] | None"]


@dataclass(frozen=True)
class Side:
    """A value in one of two documents, as plain data, and the place that set it; None where it stands at its default."""

    path: Keys
    value: object
    origin: Span | None


@dataclass(frozen=True)
class Difference:
    """A value that is another in B than in A, or that only one of them has.

    Attributes:
        a, b: the two sides; None where one has no such setting. Their paths differ where rows were put in before.
        of: the path of the part or variant that it belongs to, where the sides have another `type` of that.
    """

    a: Side | None
    b: Side | None
    of: Keys | None = None

    @property
    def path(self) -> Keys:
        """Where it stands in A, or in B if A lacks it."""
        side = self.a or self.b
        assert side is not None
        return side.path


@dataclass(frozen=True)
class Consequence(Generic[T]):
    """Something that follows from the settings and is another in B than in A; None where there is none."""

    name: str
    a: T | None
    b: T | None


@dataclass(frozen=True)
class Comparison:
    """Two documents, all settings that differ, and what follows from that; nothing follows where none differs."""

    a: Explanation
    b: Explanation
    differences: tuple[Difference, ...]
    feature_maps: tuple[Consequence[FeatureMap], ...]
    consequences: tuple[Consequence[Any], ...]


def compare(
    a: Explanation, b: Explanation, *, everything: bool = False, categories: Categories | None = None
) -> Comparison:
    """What differs between two documents of one kind.

    Args:
        everything: also compare what is about the documents alone, such as their summaries and published figures.
        categories: the class names of a task. With it, a list named and the same list written out are no difference.

    Raises:
        PluginError: a part's own arithmetic fails.
    """
    one, other = _View(a, everything), _View(b, everything)
    _settle(one, other, categories)
    differences = tuple(_mappings(one, other, (), ()))
    if not differences:
        return Comparison(a, b, (), (), ())
    consequences = tuple(c for c in _consequences(a, b) if c.a != c.b)
    return Comparison(a, b, differences, tuple(_map_changes(a, b)), consequences)


class _View:
    """One document as plain data: `shown` as it is written with its defaults, `meant` what is compared."""

    def __init__(self, explanation: Explanation, everything: bool) -> None:
        self.explanation = explanation
        self.shown = _dump(explanation, everything)
        self.meant = copy.deepcopy(self.shown)
        for place in (*(("weights", name) for name in self.meant.get("weights") or ()), ("backbone_weights",)):
            holder = self.meant_at(place) if self.meant.get(place[0]) else None
            span = explanation.origin((*place, "source"))
            if holder and span and ":" not in holder["source"]:  # a path means a file beside the one that names it
                holder["source"] = os.path.abspath(Path(span.file).parent / user_path(holder["source"]))

    def meant_at(self, path: Keys) -> Any:
        return _at(self.meant, path)

    def side(self, path: Keys) -> Side:
        return Side(path, _at(self.shown, path), self.explanation.origin(path))


def _dump(explanation: Explanation, everything: bool) -> dict[str, Any]:
    data = explanation.spec.model_dump(mode="json")
    if everything and not isinstance(explanation.spec, ModelSpec):  # a part's spec has no envelope of its own
        root = explanation.root
        written = {key: plain(e.node) for key, e in root.entries.items() if key in EnvelopeSpec.model_fields}
        envelope = EnvelopeSpec.model_validate({key: value for key, value in written.items() if value is not None})
        data = {**envelope.model_dump(mode="json"), **data}
    return data if everything else {key: value for key, value in data.items() if key not in ALONE}


def _at(data: Any, path: Keys) -> Any:
    for step in path:
        data = data[step]
    return data


def _settle(one: _View, other: _View, categories: Categories | None) -> None:
    """What cannot be told from one side: types of one name, and lists of class names."""
    for path, a, b in _parts(one.explanation, other.explanation):
        if a.type == b.type and type(a) is not type(b):  # of two distributions, which the documents must name
            for view in (one, other):
                for data in (view.shown, view.meant):
                    _at(data, path)["type"] = _at(plain(view.explanation.root), (*path, "type"))
        if categories is not None and isinstance(a, TaskSpec) and isinstance(b, TaskSpec):
            names = categories(a)
            if names is not None and names == categories(b):
                _at(other.meant, path)["categories"] = one.meant_at((*path, "categories"))


def _parts(a: Explanation, b: Explanation) -> Iterator[tuple[Keys, PartSpec, PartSpec]]:
    if isinstance(a.spec, ModelSpec) and isinstance(b.spec, ModelSpec):
        for key, part in a.spec.parts():
            if getattr(b.spec, key) is not None:
                yield (key,), part, getattr(b.spec, key)
    elif isinstance(a.spec, PartSpec) and isinstance(b.spec, PartSpec):
        yield (), a.spec, b.spec


def _values(one: _View, other: _View, a: Keys, b: Keys) -> Iterator[Difference]:
    left, right = one.meant_at(a), other.meant_at(b)
    if _canonical(left) == _canonical(right):
        return
    if isinstance(left, dict) and isinstance(right, dict):
        yield from _mappings(one, other, a, b)
    elif isinstance(left, list) and isinstance(right, list) and _is_table(left, right):
        for i, j in _matched(left, right):
            if i is not None and j is not None:
                yield from _values(one, other, (*a, i), (*b, j))
            else:
                yield Difference(None if i is None else one.side((*a, i)), None if j is None else other.side((*b, j)))
    else:
        yield Difference(one.side(a), other.side(b))


def _mappings(one: _View, other: _View, a: Keys, b: Keys) -> Iterator[Difference]:
    left, right = one.meant_at(a), other.meant_at(b)
    for key in DISCRIMINATORS:
        types = left.get(key), right.get(key)
        if all(isinstance(name, str) for name in types) and types[0] != types[1]:
            yield Difference(one.side((*a, key)), other.side((*b, key)))
            yield from _other_type(one, other, a, b, key)
            return
    for key in dict.fromkeys((*left, *right)):
        if key in left and key in right:
            yield from _values(one, other, (*a, key), (*b, key))
        else:
            yield Difference(
                one.side((*a, key)) if key in left else None, other.side((*b, key)) if key in right else None
            )


def _other_type(one: _View, other: _View, a: Keys, b: Keys, key: str) -> Iterator[Difference]:
    """The settings of each side, less those that both have alike: first all of A's, then all of B's."""
    left, right = dict(_leaves(one.meant_at(a), ())), dict(_leaves(other.meant_at(b), ()))
    alike = {path for path in left if path in right and _canonical(left[path]) == _canonical(right[path])}
    for path in left:
        if path not in alike and path != (key,):
            yield Difference(one.side((*a, *path)), None, a)
    for path in right:
        if path not in alike and path != (key,):
            yield Difference(None, other.side((*b, *path)), a)


def _leaves(value: Any, path: Keys) -> Iterator[tuple[Keys, Any]]:
    """Scalars, lists of them, and rows of tables."""
    if isinstance(value, dict) and value and not (path and isinstance(path[-1], int)):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _canonical(value: Any) -> Hashable:
    """Equal for values that mean the same: 3 and 3.0, keys in another order; not for 1 and true."""
    if isinstance(value, dict):
        return "mapping", frozenset((key, _canonical(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_canonical, value))
    return isinstance(value, bool), value


def _is_table(*lists: list[Any]) -> bool:
    return any(len(items) > _LONG or any(isinstance(item, dict) for item in items) for items in lists)


def _matched(a: list[Any], b: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Which row of B each row of A became, for rows that differ; None where one is new or gone.

    The same pairs whichever side comes first, though the matcher itself prefers its first side.
    """
    from difflib import SequenceMatcher

    if json.dumps(b, sort_keys=True) < json.dumps(a, sort_keys=True):
        yield from ((i, j) for j, i in _matched(b, a))
        return
    matcher = SequenceMatcher(None, list(map(_canonical, a)), list(map(_canonical, b)), autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            for i, j in _closest(a[i1:i2], b[j1:j2]):
                yield (None if i is None else i + i1), (None if j is None else j + j1)


def _closest(a: list[Any], b: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Rows in their order, paired so that as little as possible differs."""
    if len(a) * len(b) > _MANY:
        yield from zip_longest(range(len(a)), range(len(b)))
        return
    # cost[i][j]: of what comes from row i of A and row j of B on
    cost = [[_GAP * (len(a) - i + len(b) - j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    pair = [[_unlike(row, other) for other in b] for row in a]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            cost[i][j] = min(cost[i + 1][j + 1] + pair[i][j], cost[i + 1][j] + _GAP, cost[i][j + 1] + _GAP)
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and j < len(b) and cost[i][j] == cost[i + 1][j + 1] + pair[i][j]:
            yield i, j
            i, j = i + 1, j + 1
        elif i < len(a) and (j == len(b) or cost[i][j] == cost[i + 1][j] + _GAP):
            yield i, None
            i += 1
        else:
            yield None, j
            j += 1


def _unlike(a: Any, b: Any) -> float:
    """The share of two rows' settings that differ; half for what is no row."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return 0.5
    keys = {*a, *b}
    alike = sum(key in a and key in b and _canonical(a[key]) == _canonical(b[key]) for key in keys)
    return 1 - alike / len(keys) if keys else 0


def _map_changes(a: Explanation, b: Explanation) -> Iterator[Consequence[FeatureMap]]:
    left, right = ({feature.name: feature for feature in side.features} for side in (a, b))
    for name in dict.fromkeys((*left, *right)):
        one, other = left.get(name), right.get(name)
        if one is None or other is None or (one.channels, one.stride) != (other.channels, other.stride):
            yield Consequence(name, one, other)


def _consequences(a: Explanation, b: Explanation) -> Iterator[Consequence[Any]]:
    figures = a.figures(), b.figures()
    if figures[0] is not None and figures[1] is not None:  # else an override left nothing to compare
        yield Consequence("parameters", figures[0].parameters, figures[1].parameters)
        yield Consequence("macs", figures[0].macs, figures[1].macs)
    yield Consequence("classes", a.num_classes(), b.num_classes())
    yield Consequence("image_size", a.image_size(), b.image_size())
