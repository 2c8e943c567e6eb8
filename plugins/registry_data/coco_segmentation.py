"""Masks made of COCO's polygons. Source: torchvision's references/segmentation/coco_utils.py."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from registry.errors import MissingExtraError, RegistryError
from registry_data.coco_file import CocoFile, CocoImage
from registry_data.coco_split import check_left, read_split
from registry_data.faults import Fault
from registry_data.layout import Complaints, some
from registry_data.names import BACKGROUND, IGNORED
from registry_data.pictures import Pictures, SizeError
from registry_data.specs import CocoSegmentationSpec

_ADVICE = "write polygons of six numbers or more, or a run-length encoding"


class PolygonPictures(Pictures):
    """Pictures whose masks are drawn from polygons when they are asked for."""

    def __init__(
        self,
        folder: Path,
        images: Sequence[CocoImage],
        objects: Sequence[Sequence[tuple[int, Any]]],
        categories: tuple[str, ...],
    ) -> None:
        super().__init__(folder, [image.file_name for image in images], categories)
        self._sizes = [image.size for image in images]
        # bytes and not lists of numbers: less memory, and workers that are forked share them
        self._objects = [zlib.compress(json.dumps(list(found)).encode(), 1) for found in objects]

    def size_of(self, index: int) -> tuple[int, int]:
        """Height and width as the annotations say, else as the header does."""
        return self._sizes[index] or super().size_of(index)

    def __getitem__(self, index: int) -> tuple[Image.Image, torch.Tensor]:
        """The picture and its labels, uint8 (H, W), 255 where several objects overlap.

        Raises:
            RegistryError: the picture cannot be read, has not the size that its annotations say, or an outline is none.
        """
        picture = self.picture(index)
        size = self._sizes[index]
        if size is not None and size != (picture.height, picture.width):
            raise SizeError(
                f"the annotations of {self.path_of(index)} say {size[1]}x{size[0]} pixels, and it has "
                f"{picture.width}x{picture.height}; masks would lie elsewhere: mend the file or the annotations"
            )
        objects: list[tuple[int, Any]] = json.loads(zlib.decompress(self._objects[index]))
        try:
            return picture, torch.from_numpy(drawn(objects, picture.height, picture.width))
        except RegistryError as error:
            raise RegistryError(f"{self.path_of(index)}: {error}") from error

    def labels_of(self, index: int) -> list[int]:
        """The labels of all objects of a picture, without decoding it."""
        return [label for label, _ in json.loads(zlib.decompress(self._objects[index]))]

    def faults(self, index: int) -> Iterator[Fault]:
        """Nothing: what is wrong with an outline is told when the mask is drawn."""
        return iter(())


def build(spec: CocoSegmentationSpec, split: str) -> PolygonPictures:
    """The pictures of one split, `train` or `validation`.

    Objects of categories that are not listed are background. In training, pictures whose objects cover `min_pixels` or less
    are left out. Crowds are objects like others.

    Raises:
        RegistryError: the layout is another one, the file is wrong, it has not the categories, or the split is empty.
        MissingExtraError: pycocotools is not installed.
    """
    _coco_mask()
    found = read_split(spec, split)
    ids, names = _labels(spec, found.file)
    objects = {image.id: [a for a in found.file.of(image) if a["category_id"] in ids] for image in found.images}
    images = found.images
    if split == "train":
        images = [i for i in images if objects[i.id] and sum(a.get("area", 0) for a in objects[i.id]) > spec.min_pixels]
        check_left(images, found, f"has objects of more than {spec.min_pixels} pixels")
    wrong = Complaints(found.file.path)
    for image in images:
        for a in objects[image.id]:
            if not _is_outline(a.get("segmentation")):
                wrong.add(f"an annotation of `{image.file_name}` (id {a.get('id')}) has no outline in `segmentation`")
    wrong.tell(_ADVICE)
    labelled = [[(ids[a["category_id"]], a["segmentation"]) for a in objects[image.id]] for image in images]
    data = PolygonPictures(found.folder, images, labelled, names)
    data.left_out = len(found.images) - len(images)
    return data


def _labels(spec: CocoSegmentationSpec, file: CocoFile) -> tuple[dict[int, int], tuple[str, ...]]:
    """The label of each category id, and the names in the order of labels."""
    wanted = spec.category_ids or (0, *file.categories)
    if len(wanted) > IGNORED:
        raise RegistryError(f"{file.path} has {len(wanted) - 1} categories; masks hold 254 at most: set `category_ids`")
    lacking = [number for number in wanted[1:] if number not in file.categories]
    if lacking:
        held = some((f"{number} `{name}`" for number, name in file.categories.items()), 6)
        raise RegistryError(
            f"{file.path} has no category with the id {some(lacking, 6)}; it has {held}: set `category_ids` to a list that "
            "begins with 0, or to null for all of them"
        )
    names = spec.class_names() or (BACKGROUND, *(file.categories[number] for number in wanted[1:]))
    return {number: label for label, number in enumerate(wanted) if label}, names


def _is_outline(value: Any) -> bool:
    if isinstance(value, dict):
        size: Any = value.get("size")
        counts = value.get("counts")
        whole = (
            isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < 2**20 for side in size)
        )
        return whole and (isinstance(counts, str) or _is_runs(counts, size[0] * size[1]))
    return isinstance(value, list) and all(
        isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 and all(_finite(x) for x in ring)
        for ring in value
    )


def _is_runs(counts: Any, pixels: int) -> bool:
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        return False
    return sum(counts) == pixels


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e7


def drawn(objects: Sequence[tuple[int, Any]], height: int, width: int) -> numpy.ndarray[Any, Any]:
    """The labels of all pixels, uint8 (H, W): 0 where there is no object, 255 where there are several.

    Args:
        objects: label, and polygons [[x1, y1, x2, y2, ...], ...] or a run-length encoding {"size", "counts"}.

    Raises:
        RegistryError: a run-length encoding is of another size, or is none.
    """
    labels = numpy.zeros((height, width), dtype=numpy.uint8)
    covered = numpy.zeros((height, width), dtype=numpy.uint16)
    for label, outline in objects:
        mask = outline_mask(outline, height, width)
        labels[mask] = label
        covered += mask
    labels[covered > 1] = IGNORED
    return labels


def outline_mask(outline: Any, height: int, width: int) -> numpy.ndarray[Any, Any]:
    """The pixels of one object, bool (H, W)."""
    coco_mask = _coco_mask()
    if isinstance(outline, Mapping) and tuple(outline["size"]) != (height, width):
        size = outline["size"]
        raise RegistryError(f"a run-length encoding is of {size[1]}x{size[0]} pixels, and the picture {width}x{height}")
    try:
        if isinstance(outline, Mapping) and isinstance(outline["counts"], str):
            encoded: Any = [{"size": outline["size"], "counts": outline["counts"].encode()}]
        elif isinstance(outline, Mapping):
            encoded = [coco_mask.frPyObjects(dict(outline), height, width)]
        else:
            encoded = coco_mask.frPyObjects(outline, height, width) if outline else []
        if not encoded:
            return numpy.zeros((height, width), dtype=bool)
        covered: numpy.ndarray[Any, Any] = numpy.any(coco_mask.decode(encoded), axis=2)
        return covered
    except Exception as error:  # the C code of pycocotools raises several types
        raise RegistryError(f"an outline cannot be drawn: {error}; {_ADVICE}") from error


def _coco_mask() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingExtraError("drawing masks from COCO's annotations", "coco", "pycocotools") from error
    return mask
