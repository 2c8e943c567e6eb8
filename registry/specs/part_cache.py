"""Parts that were read before."""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from registry.specs.parts import PartSpec

#: Version of the format that writes equal data alike.
_WITHOUT_REFERENCES: Final = 2


class PartCache:
    """Parts that were validated before, with one registry: documents of one collection share most of theirs."""

    _MOST: Final = 512
    _LONGEST: Final = 65_536

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Hashable, bytes], PartSpec] = OrderedDict()

    def part(self, what: Hashable, data: dict[str, Any], make: Callable[[], PartSpec]) -> PartSpec:
        """The spec of some plain data, made where it was not yet; raises as `make` does.

        Args:
            what: what the data is read as: a kind of part, or a spec class.
        """
        try:
            key = what, marshal.dumps(data, _WITHOUT_REFERENCES)
        except ValueError:  # something that no document holds
            return make()
        found = self._kept.pop(key, None) or make()
        if len(key[1]) < self._LONGEST:
            self._kept[key] = found
            if len(self._kept) > self._MOST:
                self._kept.popitem(last=False)
        return found
