"""Some pictures of a data set, as a data set: for trials, folds, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: What data sets tell of a picture by its number.
_BY_INDEX = ("name_of", "path_of", "size_of", "picture", "faults")


class Part:
    """Some pictures of a data set, as a data set.

    Args:
        whole: the data set.
        indices: which of its pictures, in the order that they get.
    """

    def __init__(self, whole: Any, indices: Sequence[int]) -> None:
        self._whole, self._indices = whole, list(indices)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._indices)

    def __getitem__(self, index: int) -> Any:
        """The picture and its target."""
        if not 0 <= index < len(self._indices):
            raise IndexError(index)
        return self._whole[self._indices[index]]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._whole, name)
        if name == "labels":
            return [found[index] for index in self._indices]
        return (lambda index: found(self._indices[index])) if name in _BY_INDEX else found
