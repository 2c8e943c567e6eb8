"""Data in COCO's format: what pycocotools and torchvision's references make of the same files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from registry.errors import RegistryError

BOX = {"image_id": 1, "category_id": 7, "bbox": [2, 1, 4, 5]}
#: COCO's ids of Pascal VOC's classes, as torchvision's references list them.
VOC_IDS = [0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72]


# ---- boxes -----------------------------------------------------------------------------------------------------------


def test_boxes_become_corners_and_categories_count_from_one(build: Any, coco: Any, coco_settings: Any) -> None:
    root = coco([BOX, {"image_id": 1, "category_id": 3, "bbox": [0, 0, 20, 10], "area": 120}])
    data = build("coco_detection", root=str(root), **coco_settings)
    image, target = data[0]
    assert (len(data), image.size, image.mode) == (1, (20, 10), "RGB")
    assert data.categories == ("__background__", "cup", "plate")  # the file's order, not that of its ids
    assert target["boxes"].tolist() == [[2, 1, 6, 6], [0, 0, 20, 10]]
    assert target["labels"].tolist() == [1, 2]
    assert target["area"].tolist() == [50, 120]
    assert target["iscrowd"].tolist() == [0, 0]
    assert target["image_id"] == 1
    kinds = {key: value.dtype for key, value in target.items() if key != "image_id"}
    assert kinds == {"boxes": torch.float32, "labels": torch.int64, "iscrowd": torch.int64, "area": torch.float32}
    assert (data.name_of(0), data.size_of(0)) == ("1.png", (10, 20))


def test_labels_follow_the_given_order_or_the_ids(build: Any, coco: Any, coco_settings: Any) -> None:
    root = str(coco([BOX]))
    ordered = build("coco_detection", root=root, categories=["plate", "cup"], **coco_settings)
    assert (ordered.categories, ordered[0][1]["labels"].tolist()) == (("__background__", "plate", "cup"), [2])
    ids = build("coco_detection", root=root, labels="ids", **coco_settings)
    names = ("__background__", "N/A", "N/A", "plate", "N/A", "N/A", "N/A", "cup")
    assert (ids.categories, ids[0][1]["labels"].tolist()) == (names, [7])


def test_training_drops_what_the_references_drop(build: Any, coco: Any, coco_settings: Any) -> None:
    thin = {"image_id": 2, "category_id": 7, "bbox": [2, 1, 1, 5]}
    crowd = {"image_id": 3, "category_id": 7, "bbox": [2, 1, 9, 5], "iscrowd": 1}
    root = str(coco([BOX, thin, crowd], images=4))
    train = build("coco_detection", root=root, **coco_settings)
    assert [train.name_of(i) for i in range(len(train))] == ["1.png", "3.png"]  # 2: a thin box; 4: no box
    assert train.left_out == 2
    assert tuple(train[1][1]["boxes"].shape) == (0, 4)  # the image of a crowd stays, the crowd does not
    whole = build("coco_detection", "validation", root=root, **coco_settings)
    assert len(whole) == 4
    assert whole[1][1]["boxes"].tolist() == [[2, 1, 3, 6]]
    assert whole[2][1]["iscrowd"].tolist() == [1]
    assert tuple(whole[3][1]["boxes"].shape) == (0, 4)


def test_boxes_are_clipped_and_those_outside_are_dropped(build: Any, coco: Any, coco_settings: Any) -> None:
    boxes = [[-3, -2, 8, 6], [15, 4, 30, 30], [25, 2, 4, 4], [2, 2, 0, 4]]
    root = coco([{**BOX, "bbox": box, "area": index} for index, box in enumerate(boxes)])
    data = build("coco_detection", root=str(root), **coco_settings)
    target = data[0][1]
    assert target["boxes"].tolist() == [[0, 0, 5, 4], [15, 4, 20, 10]]
    assert target["area"].tolist() == [0, 1]  # each keeps its own
    assert [fault.message.partition(") ")[2] for fault in data.faults(0)] == [
        "leaves the picture of 20x10 pixels, and is clipped",
        "leaves the picture of 20x10 pixels, and is clipped",
        "lies outside of 20x10 pixels, and is dropped",
        "has no area, and is dropped",
    ]


def test_real_photographs_have_the_boxes_that_pycocotools_reads(build: Any, shared_data: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco", reason="needs the extra `coco`")
    root = shared_data / "coco_permissive"
    truth = coco_api.COCO(str(root / "instances.json"))
    files = {"annotations": "instances.json", "images": "images"}
    train, whole = (
        build("coco_detection", s, root=str(root), train=files, validation=files, labels="ids")
        for s in ("train", "validation")
    )
    assert [whole[i][1]["image_id"] for i in range(3)] == sorted(truth.imgs)[:3]
    assert (len(whole), len(train)) == (
        82,
        sum(any(min(a["bbox"][2:]) > 1 for a in truth.imgToAnns[number]) for number in truth.imgs),
    )
    crowds = 0
    for index in range(len(whole)):
        image, target = whole[index]
        wanted = truth.loadAnns(truth.getAnnIds(imgIds=[target["image_id"]]))
        assert target["labels"].tolist() == [a["category_id"] for a in wanted]
        corners = torch.tensor(
            [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in wanted)], dtype=torch.float64
        )
        clamped = corners.reshape(-1, 4)
        clamped[:, 0::2] = clamped[:, 0::2].clamp(0, image.width)
        clamped[:, 1::2] = clamped[:, 1::2].clamp(0, image.height)
        torch.testing.assert_close(target["boxes"].double(), clamped, rtol=0, atol=1e-3)
        crowds += int(target["iscrowd"].sum())
    assert crowds == 10  # as the source of the data says
    assert sum(int(train[i][1]["iscrowd"].sum()) for i in range(len(train))) == 0


def test_a_share_is_held_out_without_overlap(build: Any, coco: Any) -> None:
    root = str(coco([{**BOX, "image_id": i} for i in range(1, 11)], images=10))
    files = {"annotations": "boxes.json", "images": "pictures"}
    names = {
        split: {data.name_of(i) for i in range(len(data))}
        for split in ("train", "validation")
        for data in [build("coco_detection", split, root=root, train=files, validation_fraction=0.3)]
    }
    assert {split: len(found) for split, found in names.items()} == {"train": 7, "validation": 3}
    assert not names["train"] & names["validation"]


def test_items_survive_pickling(build: Any, coco: Any, coco_settings: Any) -> None:
    data = build("coco_detection", root=str(coco([BOX])), **coco_settings)
    copy = pickle.loads(pickle.dumps(data))
    assert copy[0][1]["boxes"].tolist() == [[2, 1, 6, 6]]


# ---- masks -----------------------------------------------------------------------------------------------------------


def square(x: int, y: int, side: int) -> list[list[int]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def test_masks_hold_labels_by_position_and_255_where_objects_overlap(build: Any, coco: Any, coco_settings: Any) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    outlines = [(7, square(0, 0, 6)), (3, square(4, 0, 6)), (7, square(14, 5, 4))]
    root = coco([{**BOX, "category_id": c, "segmentation": s, "area": 900} for c, s in outlines])
    data = build("coco_segmentation", root=str(root), category_ids=[0, 3, 7], **coco_settings)
    wanted = numpy.zeros((10, 20), dtype=numpy.uint8)
    wanted[0:6, 0:6] = 2
    wanted[0:6, 4:10] = 1
    wanted[0:6, 4:6] = 255
    wanted[5:9, 14:18] = 2
    mask = data[0][1]
    assert mask.dtype == torch.uint8
    assert mask.tolist() == wanted.tolist()
    assert data.categories == ("__background__", "plate", "cup")


def test_objects_of_other_categories_are_background(build: Any, coco: Any, coco_settings: Any) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    outlines = [(7, square(0, 0, 6)), (3, square(4, 0, 6))]
    root = coco([{**BOX, "category_id": c, "segmentation": s, "area": 2000} for c, s in outlines])
    data = build("coco_segmentation", root=str(root), category_ids=[0, 3], **coco_settings)
    assert sorted(data[0][1].unique().tolist()) == [0, 1]


@pytest.mark.parametrize(("areas", "kept"), [((1001,), True), ((1000,), False), ((600, 401), True), ((), False)])
def test_training_needs_more_than_1000_pixels(
    build: Any, coco: Any, coco_settings: Any, areas: tuple[int, ...], kept: bool
) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    filled = {**BOX, "image_id": 2, "segmentation": square(0, 0, 6), "area": 5000}
    root = coco([filled, *({**BOX, "segmentation": square(0, 0, 6), "area": area} for area in areas)])
    settings = {"root": str(root), "category_ids": [0, 7], **coco_settings}
    train = build("coco_segmentation", **settings)
    assert [train.name_of(i) for i in range(len(train))] == ["1.png"] * kept + ["2.png"]
    assert len(build("coco_segmentation", "validation", **settings)) == 3


def test_masks_of_real_photographs_are_those_of_the_references(build: Any, shared_data: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco", reason="needs the extra `coco`")
    root = shared_data / "coco_permissive"
    truth = coco_api.COCO(str(root / "instances.json"))
    files = {"annotations": "instances.json", "images": "images"}
    data = build("coco_segmentation", "validation", root=str(root), train=files, validation=files)
    train = build("coco_segmentation", root=str(root), train=files, validation=files)
    numbers = sorted(truth.imgs)
    for index in range(0, len(data), 5):
        found = [a for a in truth.imgToAnns[numbers[index]] if a["category_id"] in VOC_IDS]
        masks = [truth.annToMask(a) for a in found]
        size = truth.imgs[numbers[index]]
        wanted = numpy.zeros((size["height"], size["width"]), dtype=numpy.uint8)
        for annotation, mask in zip(found, masks, strict=True):
            wanted = numpy.maximum(wanted, mask * numpy.uint8(VOC_IDS.index(annotation["category_id"])))
        wanted[sum(mask.astype(int) for mask in masks) > 1 if masks else []] = 255
        assert numpy.array_equal(data[index][1].numpy(), wanted)
    areas = [sum(a["area"] for a in truth.imgToAnns[n] if a["category_id"] in VOC_IDS) for n in numbers]
    assert len(train) == sum(area > 1000 for area in areas)
    assert data.categories[15] == "person"  # Pascal VOC's order


def test_a_run_length_encoding_is_a_mask_too(build: Any, coco: Any, coco_settings: Any) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    runs = {"size": [10, 20], "counts": [10, 5, 185]}  # the upper half of the second column
    root = coco([{**BOX, "segmentation": runs, "iscrowd": 1, "area": 3000}])
    mask = build("coco_segmentation", root=str(root), category_ids=[0, 7], **coco_settings)[0][1]
    assert mask.nonzero().tolist() == [[row, 1] for row in range(5)]


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_id": 9}, "annotations[0] (id 1) has the image_id 9, which no image has; mend the file"),
        ({"category_id": 5}, "annotations[0] (id 1) has the category_id 5, which no category has; mend the file"),
        (
            {"bbox": [1, 2, 3]},
            "annotations[0] (id 1) has the bbox [1, 2, 3]; write [x, y, width, height]; mend the file",
        ),
        (
            {"bbox": [1, 2, -3, 4]},
            "annotations[0] (id 1) has the bbox [1, 2, -3, 4], whose width or height is negative; mend the file",
        ),
        ({"iscrowd": 2}, "annotations[0] (id 1) has the iscrowd 2; write 0 or 1; mend the file"),
    ],
)
def test_a_wrong_annotation_is_told_with_its_place(
    build: Any, coco: Any, coco_settings: Any, change: dict[str, Any], told: str
) -> None:
    root = coco([{**BOX, **change}])
    with pytest.raises(RegistryError) as caught:
        build("coco_detection", root=str(root), **coco_settings)
    assert str(caught.value) == f"{root / 'boxes.json'}: {told}"


def test_many_wrong_annotations_are_counted_and_three_are_named(build: Any, coco: Any, coco_settings: Any) -> None:
    root = coco([{**BOX, "category_id": 100 + index} for index in range(5)])
    with pytest.raises(RegistryError) as caught:
        build("coco_detection", root=str(root), **coco_settings)
    assert str(caught.value).startswith(f"5 entries of {root / 'boxes.json'} are wrong: annotations[0] (id 1) has the ")
    assert "category_id 102" in str(caught.value)
    assert "category_id 103" not in str(caught.value)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a/../../b.png", "C:\\x.png", "..\\x.png"])
def test_a_picture_outside_of_its_folder_is_refused(build: Any, coco: Any, coco_settings: Any, name: str) -> None:
    root = coco([BOX])
    held = json.loads((root / "boxes.json").read_text())
    held["images"][0]["file_name"] = name
    (root / "boxes.json").write_text(json.dumps(held))
    with pytest.raises(RegistryError, match="does not lie inside"):
        build("coco_detection", root=str(root), **coco_settings)


def test_missing_pictures_are_told_before_the_first_item(build: Any, coco: Any, coco_settings: Any) -> None:
    root = coco([BOX])
    (root / "pictures" / "2.png").unlink()
    with pytest.raises(RegistryError) as caught:
        build("coco_detection", root=str(root), **coco_settings)
    folder = root / "pictures"
    assert str(caught.value) == (
        f"1 of 3 pictures that {root / 'boxes.json'} names are not in {folder}: 2.png; {folder} holds 1.png, 3.png"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON that can be read"),
        ("[]", "has no list `images`, `annotations`, `categories`"),
        ('{"images": [], "annotations": NaN}', "it holds NaN, which is no number of JSON"),
        ("[" * 100_000, "is not JSON that can be read"),
        ('{"images": [], "annotations": [], "categories": []}', "the split `train` is empty"),
    ],
)
def test_a_file_that_is_none_is_refused(build: Any, coco: Any, coco_settings: Any, text: str, told: str) -> None:
    root = coco([BOX])
    (root / "boxes.json").write_text(text)
    with pytest.raises(RegistryError) as caught:
        build("coco_detection", root=str(root), **coco_settings)
    assert told in str(caught.value)
    assert str(root / "boxes.json") in str(caught.value)


def test_categories_of_two_files_must_agree(build: Any, coco: Any) -> None:
    root = coco([BOX])
    held = json.loads((root / "boxes.json").read_text())
    held["categories"] = [{"id": 3, "name": "plate"}, {"id": 7, "name": "cup"}, {"id": 9, "name": "fork"}]
    (root / "other.json").write_text(json.dumps(held))
    settings = {
        "root": str(root),
        "train": {"annotations": "boxes.json", "images": "pictures"},
        "validation": {"annotations": "other.json", "images": "pictures"},
    }
    with pytest.raises(RegistryError, match="9 `fork`; set `categories`"):
        build("coco_detection", "validation", **settings)
    assert len(build("coco_detection", "validation", labels="ids", **settings)) == 3
    with pytest.raises(RegistryError, match="`categories` lack fork"):
        build("coco_detection", "validation", categories=["cup", "plate"], **settings)


def test_the_same_categories_in_another_order_keep_their_labels(build: Any, coco: Any) -> None:
    root = coco([BOX])
    held = json.loads((root / "boxes.json").read_text())
    held["categories"].reverse()
    (root / "other.json").write_text(json.dumps(held))
    other = {"annotations": "other.json", "images": "pictures"}
    train = {"annotations": "boxes.json", "images": "pictures"}
    data = build("coco_detection", "validation", root=str(root), train=train, validation=other)
    assert data.categories == ("__background__", "cup", "plate")
    assert data[0][1]["labels"].tolist() == [1]


def test_a_size_that_is_not_the_pictures_is_an_error_of_the_item(
    build: Any, coco: Any, coco_settings: Any, picture: Any
) -> None:
    root = coco([BOX])
    picture(root / "pictures" / "1.png", (10, 20))
    data = build("coco_detection", root=str(root), **coco_settings)
    with pytest.raises(RegistryError, match=r"say 20x10 pixels, and it has 10x20, perhaps as EXIF turns it"):
        data[0]


def test_ids_that_the_file_has_not_are_refused(build: Any, coco: Any, coco_settings: Any) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    with pytest.raises(RegistryError, match="has no category with the id 5, 2, 16"):
        build("coco_segmentation", root=str(coco([BOX])), **coco_settings)


@pytest.mark.parametrize("outline", [None, [[1, 2, 3]], {"size": [10, 20], "counts": [1]}, {"size": [10, 20]}, "x"])
def test_an_object_without_outline_is_told(build: Any, coco: Any, coco_settings: Any, outline: Any) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    root = coco([{**BOX, "segmentation": outline, "area": 2000}])
    with pytest.raises(RegistryError, match=r"an annotation of `1.png` \(id 1\) has no outline"):
        build("coco_segmentation", root=str(root), category_ids=[0, 7], **coco_settings)


def test_without_pycocotools_the_extra_is_named(
    build: Any, coco: Any, coco_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(RegistryError, match=r"needs the package `pycocotools`; .*vision-registry\[coco\]"):
        build("coco_segmentation", root=str(coco([BOX])), category_ids=[0, 7], **coco_settings)
