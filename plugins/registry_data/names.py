"""Class names and ids that data sets of this field share."""

from __future__ import annotations

from typing import Final

#: What label 0 of detectors and segmentation models is called.
BACKGROUND: Final = "__background__"
#: Pascal VOC's classes in their order, which is that of ids 1 to 20. Source: the VOC2012 development kit.
VOC: Final = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
#: COCO's category ids of the background and of those classes. Source: torchvision's references/segmentation/train.py.
COCO_IDS_OF_VOC: Final = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
#: Id of pixels that do not count.
IGNORED: Final = 255
#: The name of a label that no class has.
NO_CLASS: Final = "N/A"
DIGITS: Final = tuple("0123456789")
