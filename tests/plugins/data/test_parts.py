"""The conformance kit over every data set, with small folders for those that need one; and the split of one folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from registry_data.holding_out import held_out, of_split

from registry.errors import RegistryError
from registry.testing import conformance

pytest.importorskip("sklearn", reason="needs the extra `demo`")
pytest.importorskip("skimage", reason="needs the extra `demo`")

FOLDER = Path(tempfile.gettempdir()) / f"registry-data-tests-{id(object())}"
_FILES = {"annotations": "instances.json", "images": "images"}
_SMALL = {"training_images": 12, "validation_images": 10}

test_conformance = conformance(
    "data",
    settings={
        "dataset-image_folder": {"root": str(FOLDER / "classes"), "validation_fraction": 0.5},
        "dataset-table": {"root": str(FOLDER), "validation_fraction": 0.5},
        "dataset-mask_pairs": {"root": str(FOLDER), "validation_fraction": 0.5},
        "dataset-coco_detection": {"root": str(FOLDER), "train": _FILES, "validation_fraction": 0.5},
        "dataset-coco_segmentation": {
            "root": str(FOLDER),
            "train": _FILES,
            "validation_fraction": 0.5,
            "category_ids": [0, 1],
            "min_pixels": 10,
        },
        "dataset-voc_detection": {"root": str(FOLDER)},
        "dataset-voc_segmentation": {"root": str(FOLDER)},
        "dataset-digits_classification": {"root": str(FOLDER / "digits1"), **_SMALL},
        "dataset-digits_detection": {"root": str(FOLDER / "digits2"), **_SMALL},
        "dataset-digits_segmentation": {"root": str(FOLDER / "digits3"), **_SMALL},
    },
)

XML = (
    "<annotation><object><name>dog</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"
    "</object></annotation>"
)


@pytest.fixture(scope="module", autouse=True)
def _folder() -> Iterator[None]:
    """One folder in every layout at once, with four pictures of 64 pixels."""
    names = [f"{index}.png" for index in range(1, 5)]
    for folder in ("images", "masks", "classes/a", "classes/b", "JPEGImages", "SegmentationClass", "Annotations"):
        (FOLDER / folder).mkdir(parents=True)
    for index, name in enumerate(names):
        image = Image.new("RGB", (64, 64), (60 * index, 90, 30))
        image.save(FOLDER / "images" / name)
        image.save(FOLDER / "classes" / "ab"[index % 2] / name)
        image.save(FOLDER / "JPEGImages" / f"{index + 1}.jpg")
        (FOLDER / "Annotations" / f"{index + 1}.xml").write_text(XML)
        for folder in ("masks", "SegmentationClass"):
            Image.new("L", (64, 64), 1).save(FOLDER / folder / name)
    for kind in ("Main", "Segmentation"):
        (FOLDER / "ImageSets" / kind).mkdir(parents=True)
        (FOLDER / "ImageSets" / kind / "train.txt").write_text("1\n2\n")
        (FOLDER / "ImageSets" / kind / "val.txt").write_text("3\n4\n")
    (FOLDER / "labels.csv").write_text("path,label\n" + "".join(f"images/{name},{name[0]}\n" for name in names))
    rows = (FOLDER / "labels.csv").read_text().replace(",3", ",1").replace(",4", ",2")
    (FOLDER / "labels.csv").write_text(rows)
    held = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(names, start=1)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 30, 30], "area": 900,
             "segmentation": [[8, 8, 38, 8, 38, 38, 8, 38]]}
            for i in range(1, 5)
        ],
    }  # fmt: skip
    (FOLDER / "instances.json").write_text(json.dumps(held))
    yield
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.mark.parametrize(
    ("count", "fraction", "wanted"), [(10, 0.2, 2), (10, 0.25, 3), (3, 0.01, 1), (3, 0.99, 2), (2, 0.5, 1), (0, 0.5, 0)]
)
def test_a_share_is_rounded_and_leaves_something_on_both_sides(count: int, fraction: float, wanted: int) -> None:
    names = [str(index) for index in range(count)]
    assert sum(held_out(names, fraction, 0)) == wanted
    both = [of_split(split, names, fraction, 0) for split in ("train", "validation")]
    assert sorted([*both[0], *both[1]]) == list(range(count))


def test_a_share_does_not_depend_on_the_order() -> None:
    names = [str(index) for index in range(50)]
    one = {names[i] for i in of_split("validation", names, 0.3, 7)}
    assert one == {names[::-1][i] for i in of_split("validation", names[::-1], 0.3, 7)}
    assert one != {names[i] for i in of_split("validation", names, 0.3, 8)}


def test_single_items_cannot_be_split() -> None:
    with pytest.raises(RegistryError, match="can hold nothing out of 2 items"):
        held_out(["a", "b"], 0.5, 0, [0, 1])
