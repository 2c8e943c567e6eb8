"""The digits as data sets of three tasks, each read from its folder like any data in COCO's format."""

from __future__ import annotations

from registry_data.boxes import BoxedPictures
from registry_data.coco_detection import build as build_boxes
from registry_data.coco_segmentation import PolygonPictures
from registry_data.coco_segmentation import build as build_masks
from registry_data.coco_split import read_split
from registry_data.digits_folder import digits_folder
from registry_data.digits_specs import DigitsClassificationSpec, DigitsDetectionSpec, DigitsSegmentationSpec, DigitsSpec
from registry_data.layout import check_split
from registry_data.names import DIGITS
from registry_data.pictures import LabelledPictures
from registry_data.specs import CocoDetectionSpec, CocoFilesSpec, CocoSegmentationSpec

_TRAIN = CocoFilesSpec(annotations="annotations/instances_train.json", images="train")
_VALIDATION = CocoFilesSpec(annotations="annotations/instances_val.json", images="val")


def build_classification(spec: DigitsClassificationSpec, split: str) -> LabelledPictures:
    """Pictures of one digit each; the label is the digit. Raises as `digits_folder` does."""
    found = read_split(_boxes_in(spec, split), split)
    labels = [found.file.of(image)[0]["category_id"] - 1 for image in found.images]
    return LabelledPictures(found.folder, [image.file_name for image in found.images], labels, DIGITS)


def build_detection(spec: DigitsDetectionSpec, split: str) -> BoxedPictures:
    """Pictures with a box around each digit; the label is the digit + 1. Raises as `digits_folder` does."""
    return build_boxes(_boxes_in(spec, split), split)


def build_segmentation(spec: DigitsSegmentationSpec, split: str) -> PolygonPictures:
    """Pictures with masks of the ink; ids are the digit + 1, 0 elsewhere.

    Raises:
        RegistryError, MissingExtraError: as `digits_folder`; MissingExtraError also without pycocotools.
    """
    check_split(split)
    ids = tuple(range(len(DIGITS) + 1))
    root = str(digits_folder(spec))
    masks = CocoSegmentationSpec(root=root, train=_TRAIN, validation=_VALIDATION, category_ids=ids, min_pixels=0)
    return build_masks(masks, split)


def _boxes_in(spec: DigitsSpec, split: str) -> CocoDetectionSpec:
    check_split(split)
    root = str(digits_folder(spec))
    return CocoDetectionSpec(root=root, train=_TRAIN, validation=_VALIDATION, categories=DIGITS)
