"""Pairs of pictures and 16-bit depth pictures in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image

from registry.errors import ImageError, RegistryError
from registry.image_files import find_images
from registry.images import read_image
from registry_depth.specs import DepthPairsSpec

_SPLITS = ("train", "validation")


class DepthPairs(Sequence[tuple[Image.Image, torch.Tensor]]):
    """Pairs of an RGB picture and its true depths, float32 (H, W) in metres, 0 where none is known, sorted by name."""

    def __init__(self, pairs: Sequence[tuple[Path, Path]], scale: float) -> None:
        self._pairs = tuple(pairs)
        self._scale = scale

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Image.Image, torch.Tensor]:  # type: ignore[override]  # no slices
        """One pair.

        Raises:
            ImageError: a file cannot be read, a depth is not 16-bit grey, or their sizes differ.
        """
        picture, depth_file = self._pairs[index]
        image, depth = read_image(picture), read_depth(depth_file, self._scale)
        if (image.height, image.width) != tuple(depth.shape):
            sizes = f"{image.width}x{image.height} and {depth.shape[1]}x{depth.shape[0]}"
            raise ImageError(f"'{picture}' and '{depth_file}' differ in size, {sizes} pixels")
        return image, depth


def read_depth(file: Path, scale: float) -> torch.Tensor:
    """A 16-bit grey picture of `scale` values a metre as float32 (H, W) in metres.

    Raises:
        ImageError: it cannot be read, or has another form, such as 8 bits.
    """
    try:
        with Image.open(file) as picture:
            picture.load()
    except Exception as error:  # Pillow's readers raise errors of any type for damaged files
        raise ImageError(f"cannot read the depths '{file}': {error}") from error
    if not picture.mode.startswith("I"):  # Pillow reads 16-bit grey as I;16, some versions as I
        raise ImageError(f"the depths '{file}' are no 16-bit grey picture, but of Pillow's mode {picture.mode}")
    values = numpy.asarray(picture).astype(numpy.float32)
    return torch.from_numpy(values / numpy.float32(scale))


def build(spec: DepthPairsSpec, split: str) -> DepthPairs:
    """The pairs of a split, `train` or `validation`.

    Raises:
        RegistryError: another split, no such folder, no picture in it, or a picture without depths.
    """
    if split not in _SPLITS:
        raise RegistryError(f"there is no split `{split}`; the splits are {', '.join(_SPLITS)}")
    images, depths = (Path(spec.folder).expanduser() / split / name for name in ("images", "depth"))
    pictures = find_images([str(images)])
    pairs = [(picture, (depths / picture.relative_to(images)).with_suffix(".png")) for picture in pictures]
    missing = [depth for _, depth in pairs if not depth.is_file()]
    if missing:
        raise RegistryError(
            f"{len(missing)} of {len(pairs)} pictures have no depths; the first is missing at '{missing[0]}'"
        )
    return DepthPairs(pairs, spec.scale)
