"""What the data sets are built on: named pictures, their sizes from headers, and masks of ids."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from PIL import Image

from registry.errors import ImageError, RegistryError
from registry.images import read_image
from registry_data.faults import Fault
from registry_data.names import IGNORED

if TYPE_CHECKING:
    import torch

#: EXIF orientations that exchange width and height.
_TURNED = frozenset({5, 6, 7, 8})
#: Bits a pixel of grey PNG files whose values Pillow stretches to 0..255.
_STRETCHED = ("L;2", "L;4")


class Pictures:
    """Pictures by index, without open files.

    Attributes:
        categories: class names in the order of the labels, from 0; None where they are not known.
        left_out: pictures that are there but not used, such as those without objects in training.
    """

    def __init__(self, folder: Path, names: Sequence[str], categories: tuple[str, ...] | None) -> None:
        self.folder = folder
        self.categories = categories
        self.left_out = 0
        self._names = list(names)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._names)

    def name_of(self, index: int) -> str:
        """The picture's path as seen from the data set's folder of pictures, for messages."""
        return self._names[index]

    def path_of(self, index: int) -> Path:
        """The picture's file."""
        return self.folder / self._names[index]

    def size_of(self, index: int) -> tuple[int, int]:
        """Height and width of the picture as `read_image` gives it, without decoding it; raises ImageError."""
        return header_size(self.path_of(index))

    def picture(self, index: int) -> Image.Image:
        """The picture as RGB; raises ImageError, which names the file."""
        return read_image(self.path_of(index))

    def faults(self, index: int) -> Iterator[Fault]:
        """What reading the item mends or leaves out without a word."""
        return iter(())

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        """The picture and its target; raises ImageError or RegistryError, which name the file."""
        raise NotImplementedError


class LabelledPictures(Pictures):
    """Pictures with one label each, from 0."""

    def __init__(
        self, folder: Path, names: Sequence[str], labels: Sequence[int], categories: tuple[str, ...] | None
    ) -> None:
        super().__init__(folder, names, categories)
        self.labels = list(labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """The picture and its label."""
        return self.picture(index), self.labels[index]


def header_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture, turned as EXIF says; only its header is read where that is enough.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                turned = image.getexif().get(0x0112) in _TURNED
    except Exception:  # what Pillow cannot open, `read_image` explains
        width, height = read_image(path).size
        turned = False
    return (width, height) if turned else (height, width)


def read_ids(path: Path) -> numpy.ndarray[Any, Any]:
    """A mask's ids, uint8 (H, W), or int64 for 16-bit masks: palette indices or grey values.

    Raises:
        ImageError: the file cannot be read, has colours instead of ids, or grey values that Pillow stretches.
    """
    name = repr(os.fspath(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                layout = image.tile[0].args if image.tile else None
                image.load()
                mode, found = image.mode, numpy.asarray(image)
                lossy = image.format == "JPEG"
    except FileNotFoundError as error:
        raise ImageError(f"cannot read mask {name}: there is no such file; check the path") from error
    except Exception as error:  # Pillow's decoders meet damaged data with errors of any type
        advice = "copy it again, or write it again as PNG"
        raise ImageError(f"cannot read mask {name}: {error or type(error).__name__}; {advice}") from error
    raw = layout[0] if isinstance(layout, tuple) and layout else layout
    if lossy:
        raise ImageError(
            f"mask {name} is a JPEG, whose values are only nearly those that were written; write it as PNG"
        )
    if mode in ("P", "L", "1") and raw not in _STRETCHED:
        return found.astype(numpy.uint8)
    if mode.startswith("I"):
        return found.astype(numpy.int64)
    what = "has fewer than 8 bits of grey" if raw in _STRETCHED else f"holds colours (mode {mode})"
    raise ImageError(f"mask {name} {what} instead of ids; write it as a palette or 8-bit grey PNG, an id a pixel")


def mask_of(path: Path, picture: Image.Image, classes: int | None) -> torch.Tensor:
    """The ids of a picture's mask, a tensor uint8 or int64 (H, W).

    Args:
        classes: how many there are; None: not known.

    Raises:
        RegistryError: the mask cannot be read, has another size, or holds ids that are neither a class nor 255.
    """
    import torch

    ids = read_ids(path)
    height, width = ids.shape
    if (width, height) != picture.size:
        shown = f"{picture.width}x{picture.height}"
        raise SizeError(f"mask {path} is {width}x{height} pixels, and its picture {shown}; make them one size")
    if classes is not None:
        unknown = [int(value) for value in numpy.unique(ids) if value >= classes and value != IGNORED]
        if unknown:
            told = ", ".join(map(str, unknown[:8])) + (", …" if len(unknown) > 8 else "")
            raise LabelError(
                f"mask {path} holds the ids {told}; classes are 0 to {classes - 1}, and {IGNORED} does not count"
            )
    return torch.from_numpy(ids)


class SizeError(RegistryError):
    """Things that must be of one size and are not."""


class LabelError(RegistryError):
    """A label that no class has."""
