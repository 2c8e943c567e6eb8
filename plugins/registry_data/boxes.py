"""Pictures with boxes: what detectors are trained and measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from PIL import Image

from registry_data.faults import Fault
from registry_data.pictures import Pictures, SizeError

#: Pixels by which a box may leave its picture without a word: COCO's own are rounded.
_TOLERANCE = 1.0
_Array = numpy.ndarray[Any, Any]


class RawBoxes(NamedTuple):
    """The objects of a picture as its annotations say.

    Attributes:
        image_id: the picture's number.
        boxes: float32 (N, 4), corners x1, y1, x2, y2 in pixels.
        labels: int64 (N), from 1.
        crowd: int64 (N), 1 for objects that count neither as found nor as missed.
        area: float32 (N), in pixels.
        size: height and width of the picture, None where the annotations do not say.
    """

    image_id: int
    boxes: _Array
    labels: _Array
    crowd: _Array
    area: _Array
    size: tuple[int, int] | None


class BoxedPictures(Pictures):
    """Pictures with boxes, which are clipped to the picture; those without area are dropped."""

    def __init__(
        self, folder: Path, names: Sequence[str], raw: Sequence[RawBoxes], categories: tuple[str, ...] | None
    ) -> None:
        super().__init__(folder, names, categories)
        self._sizes = [found.size for found in raw]
        self._ids = numpy.array([found.image_id for found in raw], dtype=numpy.int64)
        self._ends = numpy.cumsum([len(found.boxes) for found in raw])
        # one array for all pictures: workers that are forked share it
        self._boxes = numpy.concatenate([found.boxes for found in raw]) if raw else numpy.empty((0, 4), numpy.float32)
        self._labels, self._crowd, self._area = (
            numpy.concatenate([getattr(found, key) for found in raw]) if raw else numpy.empty(0, kind)
            for key, kind in (("labels", numpy.int64), ("crowd", numpy.int64), ("area", numpy.float32))
        )

    def size_of(self, index: int) -> tuple[int, int]:
        """Height and width as the annotations say, else as the header does."""
        return self._sizes[index] or super().size_of(index)

    def _rows(self, index: int) -> slice:
        index = range(len(self))[index]
        return slice(int(self._ends[index - 1]) if index else 0, int(self._ends[index]))

    def __getitem__(self, index: int) -> tuple[Image.Image, dict[str, Any]]:
        """The picture, and `boxes` float32 (N, 4) in pixels, `labels`, `iscrowd` int64 (N), `area` float32 (N), `image_id`.

        Raises:
            RegistryError: the picture cannot be read, or has not the size that its annotations say.
        """
        picture = self.picture(index)
        size = self._sizes[index]
        if size is not None and size != (picture.height, picture.width):
            told = f"{size[1]}x{size[0]}"
            turned = ", perhaps as EXIF turns it" if size == (picture.width, picture.height) else ""
            raise SizeError(
                f"the annotations of {self.path_of(index)} say {told} pixels, and it has {picture.width}x{picture.height}"
                f"{turned}; boxes would lie elsewhere: mend the file or the annotations"
            )
        rows = self._rows(index)
        boxes, kept = clipped(self._boxes[rows], picture.height, picture.width)
        return picture, {
            "boxes": torch.from_numpy(boxes[kept]),
            "labels": torch.from_numpy(self._labels[rows][kept]),
            "iscrowd": torch.from_numpy(self._crowd[rows][kept]),
            "area": torch.from_numpy(self._area[rows][kept]),
            "image_id": int(self._ids[index]),
        }

    def labels_of(self, index: int) -> list[int]:
        """The labels of all objects of a picture, without decoding it."""
        return [int(label) for label in self._labels[self._rows(index)]]

    def faults(self, index: int) -> Iterator[Fault]:
        """Boxes that leave the picture by more than a pixel, and boxes without area."""
        height, width = self.size_of(index)
        boxes = self._boxes[self._rows(index)]
        _, kept = clipped(boxes, height, width)
        for box, whole in zip(boxes, kept, strict=True):
            x1, y1, x2, y2 = (float(side) for side in box)
            shown = f"the box [{x1:g}, {y1:g}, {x2:g}, {y2:g}] (corners)"
            if not whole:
                where = "has no area" if x2 <= x1 or y2 <= y1 else f"lies outside of {width}x{height} pixels"
                yield Fault("box", "warning", f"{shown} {where}, and is dropped")
            elif min(x1, y1) < -_TOLERANCE or x2 > width + _TOLERANCE or y2 > height + _TOLERANCE:
                yield Fault("box", "warning", f"{shown} leaves the picture of {width}x{height} pixels, and is clipped")


def clipped(boxes: _Array, height: int, width: int) -> tuple[_Array, _Array]:
    """Boxes (N, 4) cut to a picture, and which of them have an area then."""
    found = boxes.copy()
    found[:, 0::2] = found[:, 0::2].clip(0, width)
    found[:, 1::2] = found[:, 1::2].clip(0, height)
    return found, (found[:, 3] > found[:, 1]) & (found[:, 2] > found[:, 0])
