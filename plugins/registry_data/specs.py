"""Settings of the data sets. Nothing here imports torch or Pillow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry.specs import DatasetSpec, Finding, Listed, Spec
from registry_data.names import BACKGROUND, COCO_IDS_OF_VOC, VOC
from registry_data.paths import Below

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Names = Annotated[Listed[_Name], Field(min_length=1, max_length=65_535)]
_Type = Field(description="Registered type of the part.")


class FolderSpec(DatasetSpec):
    """What data sets in a folder of the user's have in common: the folder, and how a part of it is held out."""

    root: Annotated[
        str | None,
        Field(min_length=1, max_length=4096, description="Folder of the data, which must be set to read it."),
    ] = None
    validation_fraction: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Share of the training items that is held out, where nothing else is to validate on.",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="Other seeds hold other items out.")] = 0

    def check(self) -> Iterable[Finding]:
        """Two ways to say what is validated on, and class names that stand twice."""
        given = [key for key in ("validation", "split_column") if getattr(self, key, None) is not None]
        if self.validation_fraction is not None and given:
            text = f"`validation_fraction` and `{given[0]}` both say what is validated on"
            yield Finding("REG201", ("validation_fraction",), text, "write one of them", also=((given[0],),))
        yield from _twice(getattr(self, "categories", None) or (), "categories", "the class")

    def class_names(self) -> tuple[str, ...] | None:
        """Class names in the order of the labels, from 0; None where only the data tell."""
        names: tuple[str, ...] | None = getattr(self, "categories", None)
        return names


class ImageFolderSpec(FolderSpec):
    """Pictures in one folder a class: `train/rose/1.jpg`, `val/rose/2.jpg`. Source: torchvision.datasets.ImageFolder."""

    type: Annotated[Literal["image_folder"], _Type] = "image_folder"
    task: ClassVar[str] = "classification"

    train: Annotated[
        Below | None,
        Field(description="Folder with a folder a class; null: `train`, or `root` itself with `validation_fraction`."),
    ] = None
    validation: Annotated[
        Below | None, Field(description="The same to validate on; null: `val`, unless `validation_fraction` is set.")
    ] = None
    categories: Annotated[
        _Names | None, Field(description="Class folders in the order of the labels; null: every folder, sorted.")
    ] = None


class CocoFilesSpec(Spec):
    """One split in COCO's format."""

    annotations: Annotated[Below, Field(description="JSON file of images, annotations and categories.")]
    images: Annotated[Below, Field(description="Folder of the pictures that the file names.")]


_TRAIN2017 = CocoFilesSpec(annotations="annotations/instances_train2017.json", images="train2017")
_VAL2017 = CocoFilesSpec(annotations="annotations/instances_val2017.json", images="val2017")


class CocoSpec(FolderSpec):
    """What data sets in COCO's format have in common: JSON files of annotations, and folders of pictures."""

    train: Annotated[CocoFilesSpec, Field(description="Files to train on.")] = _TRAIN2017
    validation: Annotated[
        CocoFilesSpec | None,
        Field(description="Files to validate on; null: those of COCO 2017, unless `validation_fraction` is set."),
    ] = None

    def validation_files(self) -> CocoFilesSpec:
        """The files to validate on, where no share is held out."""
        return self.validation or _VAL2017


class CocoDetectionSpec(CocoSpec):
    """Boxes in COCO's format. Source: torchvision's references/detection/coco_utils.py."""

    type: Annotated[Literal["coco_detection"], _Type] = "coco_detection"
    task: ClassVar[str] = "detection"

    categories: Annotated[
        _Names | None,
        Field(description="Names of the file's categories in the order of labels 1 to C; null: the file's order."),
    ] = None
    labels: Annotated[
        Literal["counted", "ids"],
        Field(
            description="`counted`: labels are 1 to C; `ids`: they are the file's category ids, as in torchvision's models."
        ),
    ] = "counted"

    def check(self) -> Iterable[Finding]:
        """As above, an order where ids decide, and the background, which no box has."""
        yield from super().check()
        names = self.categories or ()
        if names and self.labels == "ids":
            text = "`categories` say an order of labels, and `labels: ids` takes the file's ids"
            yield Finding("REG201", ("categories",), text, "write one of them", also=(("labels",),))
        if BACKGROUND in names:
            place = ("categories", names.index(BACKGROUND))
            yield Finding("REG201", place, "no box is of the background, which is label 0", "leave it out")

    def class_names(self) -> tuple[str, ...] | None:
        """The background, label 0, before the categories."""
        return None if self.categories is None else (BACKGROUND, *self.categories)


class CocoSegmentationSpec(CocoSpec):
    """Masks made of COCO's polygons; pixels that several objects claim do not count.

    Source: torchvision's references/segmentation/coco_utils.py.
    """

    type: Annotated[Literal["coco_segmentation"], _Type] = "coco_segmentation"
    task: ClassVar[str] = "segmentation"

    category_ids: Annotated[
        Annotated[Listed[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(min_length=2, max_length=255)] | None,
        Field(
            description="The file's category ids in the order of labels, 0 first for the background; null: all of them."
        ),
    ] = COCO_IDS_OF_VOC
    min_pixels: Annotated[
        int, Field(ge=0, le=2**31 - 1, description="Training pictures whose objects cover no more pixels are left out.")
    ] = 1000

    def check(self) -> Iterable[Finding]:
        """As above, ids that stand twice, and a background that is not first."""
        yield from super().check()
        ids = self.category_ids or ()
        yield from _twice(ids, "category_ids", "the id")
        if ids and ids[0] != 0:
            yield Finding(
                "REG201", ("category_ids", 0), f"label 0 is the background, and {ids[0]} a category", "write 0"
            )

    def class_names(self) -> tuple[str, ...] | None:
        """Pascal VOC's names for COCO's ids of them."""
        return (BACKGROUND, *VOC) if self.category_ids == COCO_IDS_OF_VOC else None


class VocSpec(FolderSpec):
    """What both kinds of Pascal VOC data have in common: `root` holds JPEGImages and ImageSets."""

    train: Annotated[Below, Field(description="List of pictures to train on, without `.txt`.")] = "train"
    validation: Annotated[
        Below | None,
        Field(description="List of pictures to validate on; null: `val`, unless `validation_fraction` is set."),
    ] = None
    categories: Annotated[
        _Names, Field(description="Class names in the order of labels, from 1; 0 is the background.")
    ] = VOC

    def check(self) -> Iterable[Finding]:
        """As above, and the background, which is there already."""
        yield from super().check()
        if BACKGROUND in self.categories:
            place = ("categories", self.categories.index(BACKGROUND))
            yield Finding("REG201", place, "the background is label 0 already", "leave it out")

    def class_names(self) -> tuple[str, ...] | None:
        """The background, label 0, before the classes."""
        return (BACKGROUND, *self.categories)


class VocDetectionSpec(VocSpec):
    """Boxes of Pascal VOC: Annotations/ID.xml, and lists in ImageSets/Main."""

    type: Annotated[Literal["voc_detection"], _Type] = "voc_detection"
    task: ClassVar[str] = "detection"

    difficult: Annotated[
        Literal["ignored", "kept"],
        Field(description="`ignored`: difficult objects are not trained on, and count neither as found nor as missed."),
    ] = "ignored"


class VocSegmentationSpec(VocSpec):
    """Masks of Pascal VOC: SegmentationClass/ID.png, and lists in ImageSets/Segmentation."""

    type: Annotated[Literal["voc_segmentation"], _Type] = "voc_segmentation"
    task: ClassVar[str] = "segmentation"


class TableSpec(FolderSpec):
    """A CSV or JSON-lines file that names pictures and their labels."""

    type: Annotated[Literal["table"], _Type] = "table"
    task: ClassVar[str] = "classification"

    table: Annotated[Below, Field(description="The file: .csv, .tsv, .jsonl or .ndjson.")] = "labels.csv"
    images: Annotated[Below, Field(description="Folder that the paths of the pictures start from.")] = "."
    path_column: Annotated[_Name, Field(description="Column of the pictures' paths.")] = "path"
    label_column: Annotated[_Name, Field(description="Column of the labels.")] = "label"
    split_column: Annotated[
        _Name | None,
        Field(description="Column that says train or validation; null: `split`, unless `validation_fraction` is set."),
    ] = None
    train_value: Annotated[_Name, Field(description="What the split column holds for training.")] = "train"
    validation_value: Annotated[_Name, Field(description="What it holds for validation; others are left out.")] = "val"
    labels: Annotated[
        Literal["names", "indices"], Field(description="Whether labels are class names or indices from 0.")
    ] = "names"
    categories: Annotated[
        _Names | None, Field(description="Class names in the order of the labels; null: those of the table, sorted.")
    ] = None

    def check(self) -> Iterable[Finding]:
        """As above, and one word for both splits."""
        yield from super().check()
        if self.train_value == self.validation_value:
            text = f"`train_value` and `validation_value` are both `{self.train_value}`"
            yield Finding("REG201", ("validation_value",), text, "write two words", also=(("train_value",),))


class MaskPairsSpec(FolderSpec):
    """Pictures, and masks of the same names: `train/images/7.jpg` and `train/masks/7.png`, a palette or grey picture of ids."""

    type: Annotated[Literal["mask_pairs"], _Type] = "mask_pairs"
    task: ClassVar[str] = "segmentation"

    train: Annotated[
        Below | None,
        Field(description="Folder with both; null: `train`, or `root` itself with `validation_fraction`."),
    ] = None
    validation: Annotated[
        Below | None, Field(description="The same to validate on; null: `val`, unless `validation_fraction` is set.")
    ] = None
    images: Annotated[Below, Field(description="Folder of the pictures in each.")] = "images"
    masks: Annotated[Below, Field(description="Folder of the masks in each.")] = "masks"
    categories: Annotated[
        _Names | None, Field(description="Class names in the order of the ids, the background first; null: not known.")
    ] = None


def _twice(items: Sequence[str | int], key: str, what: str) -> Iterator[Finding]:
    for index, item in enumerate(items):
        if item in items[:index]:
            yield Finding("REG201", (key, index), f"{what} `{item}` stands twice", "name each once")
            return
