"""What is wrong with one item of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What kinds of faults there are, by the word that reports use.
Kind = Literal["broken", "size", "box", "label", "duplicate", "class"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: `broken`: cannot be read; `size`: sizes that differ; `box`: a box out of range or without area; `label`: an
            unknown id; `duplicate`: a picture in both splits; `class`: a class without items.
        severity: an error spoils training or its figures; a warning is mended or left out when the data are read.
        message: in one sentence.
    """

    kind: Kind
    severity: Literal["error", "warning"]
    message: str
