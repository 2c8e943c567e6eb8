"""Image folders, tables, pictures with masks, and Pascal VOC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from registry.errors import RegistryError


def names(data: Any) -> list[str]:
    return [data.name_of(index) for index in range(len(data))]


# ---- image folders ---------------------------------------------------------------------------------------------------


@pytest.fixture
def flowers(tmp_path: Path, picture: Any) -> Path:
    for name in (
        "train/rose/1.png",
        "train/rose/deep/2.png",
        "train/daisy/1.jpg",
        "val/rose/3.png",
        "val/daisy/.x.png",
    ):
        picture(tmp_path / name)
    (tmp_path / "train" / "daisy" / "notes.txt").write_text("no picture")
    return tmp_path


def test_labels_are_the_sorted_folders(build: Any, flowers: Path) -> None:
    train = build("image_folder", root=str(flowers))
    assert train.categories == ("daisy", "rose")
    assert names(train) == ["daisy/1.jpg", "rose/1.png", "rose/deep/2.png"]
    assert [train[index][1] for index in range(3)] == [0, 1, 1]
    assert (train[0][0].size, train[0][0].mode, train.size_of(0)) == ((12, 8), "RGB", (8, 12))
    validation = build("image_folder", "validation", root=str(flowers))
    assert (names(validation), validation[0][1], validation.categories) == (["rose/3.png"], 1, ("daisy", "rose"))


def test_labels_follow_the_given_order(build: Any, flowers: Path) -> None:
    train = build("image_folder", root=str(flowers), categories=["rose", "daisy"])
    assert (train.labels, train.categories) == ([0, 0, 1], ("rose", "daisy"))


def test_a_share_of_each_class_is_held_out(build: Any, tmp_path: Path, picture: Any) -> None:
    counts = {"a": 10, "b": 4, "c": 1}
    for name, count in counts.items():
        for index in range(count):
            picture(tmp_path / name / f"{index}.png")
    settings: dict[str, Any] = {"root": str(tmp_path), "validation_fraction": 0.25}
    train, held = (build("image_folder", split, **settings) for split in ("train", "validation"))
    assert [held.labels.count(label) for label in range(3)] == [3, 1, 0]  # 2.5 and 1 rounded; one alone is trained on
    assert [train.labels.count(label) for label in range(3)] == [7, 3, 1]
    assert not set(names(train)) & set(names(held))
    assert names(build("image_folder", "validation", **settings)) == names(held)
    other = build("image_folder", "validation", **settings, seed=1)
    assert names(other) != names(held)


def test_a_picture_more_moves_no_others_of_other_classes(build: Any, tmp_path: Path, picture: Any) -> None:
    for index in range(8):
        picture(tmp_path / "a" / f"{index}.png")
        picture(tmp_path / "b" / f"{index}.png")
    settings: dict[str, Any] = {"root": str(tmp_path), "validation_fraction": 0.5}
    before = {name for name in names(build("image_folder", "validation", **settings)) if name[0] == "a"}
    picture(tmp_path / "b" / "9.png")
    after = {name for name in names(build("image_folder", "validation", **settings)) if name[0] == "a"}
    assert (before, len(before)) == (after, 4)


def test_sizes_are_those_of_turned_pictures(build: Any, tmp_path: Path, picture: Any) -> None:
    picture(tmp_path / "train" / "a" / "1.jpg", (12, 8), exif=6)
    data = build("image_folder", root=str(tmp_path))
    assert (data.size_of(0), data[0][0].size) == ((12, 8), (8, 12))


def test_odd_real_files_have_the_size_that_reading_gives(build: Any, shared_data: Path) -> None:
    from registry_data.pictures import header_size

    from registry.errors import ImageError
    from registry.images import read_image

    same = 0
    for path in sorted((shared_data / "odd_images").glob("*_*.*")):
        try:
            image = read_image(path)
        except ImageError:
            continue
        assert header_size(path) == (image.height, image.width), path.name
        same += 1
    assert same > 15


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: (root / "train").rename(root / "training"),
         "there is no folder {root}/train; expected a folder a class with pictures in it, such as "
         "{root}/train/CLASS/1.jpg, but {root} holds training/, val/"),
        (lambda root: (root / "train" / "daisy" / "1.jpg").rename(root / "train" / "1.jpg")
         and [p.unlink() for p in (root / "train").rglob("*.png")],
         "the split `train` is empty: no picture lies in the class folders of {root}/train (daisy, rose); put a folder a "
         "class with pictures in it, such as rose/1.jpg there"),
    ],
)  # fmt: skip
def test_a_wrong_layout_says_what_was_expected_and_found(build: Any, flowers: Path, spoil: Any, told: str) -> None:
    spoil(flowers)
    with pytest.raises(RegistryError) as caught:
        build("image_folder", root=str(flowers))
    assert str(caught.value) == told.replace("{root}", str(flowers))


def test_a_folder_that_is_no_class_is_refused(build: Any, flowers: Path, picture: Any) -> None:
    picture(flowers / "val" / "tulip" / "1.png")
    with pytest.raises(RegistryError, match="has folders that are no class: tulip; the classes are daisy, rose"):
        build("image_folder", "validation", root=str(flowers))
    with pytest.raises(RegistryError, match="has no folder for the classes lily"):
        build("image_folder", root=str(flowers), categories=["daisy", "lily", "rose"])


def test_a_folder_must_be_set_and_there(build: Any, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        build("image_folder")
    assert str(caught.value) == (
        "the data set `image_folder` does not say where its data are; add --set root=FOLDER, or `root: FOLDER` to its document"
    )
    with pytest.raises(RegistryError, match="is not there; check `root`"):
        build("image_folder", root=str(tmp_path / "nowhere"))
    with pytest.raises(RegistryError, match="there is no split `test`; it is one of train, validation"):
        build("image_folder", "test", root=str(tmp_path))


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../..", "C:\\data"])
def test_settings_stay_below_the_root(build: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(RegistryError, match="leaves the folder `root`"):
        build("image_folder", root=str(tmp_path), train=path)


def test_two_ways_to_validate_are_refused(build: Any, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="`validation_fraction` and `validation` both say what is validated on"):
        build("image_folder", root=str(tmp_path), validation="val", validation_fraction=0.5)


# ---- tables ----------------------------------------------------------------------------------------------------------

CSV = "path,label,split\na.png,cat,train\nb.png,dog,train\nc.png,cat,val\n"


@pytest.fixture
def table(tmp_path: Path, picture: Any) -> Path:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text(CSV)
    return tmp_path


def test_a_table_names_pictures_labels_and_splits(build: Any, table: Path) -> None:
    train, held = (build("table", split, root=str(table)) for split in ("train", "validation"))
    assert (names(train), train.labels, train.categories) == (["a.png", "b.png"], [0, 1], ("cat", "dog"))
    assert (names(held), held.labels) == (["c.png"], [0])
    assert train[1][1] == 1


def test_json_lines_with_other_columns_and_indices(build: Any, table: Path) -> None:
    rows = [{"file": f"{name}.png", "class": label, "part": part} for name, label, part in
            (("a", 4, "fit"), ("b", 0, "fit"), ("c", 4, "test"))]  # fmt: skip
    (table / "all.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    settings = {"root": str(table), "table": "all.jsonl", "path_column": "file", "label_column": "class",
                "split_column": "part", "train_value": "fit", "validation_value": "test", "labels": "indices"}  # fmt: skip
    train = build("table", **settings)
    assert (train.labels, train.categories) == ([4, 0], None)
    with pytest.raises(RegistryError, match=r"a.png: the label is 4, not 0 to 1"):
        build("table", **settings, categories=["x", "y"])


def test_real_photographs_with_imagenets_indices(build: Any, shared_data: Path) -> None:
    settings = {"root": str(shared_data / "caltech101_imagenet"), "images": "images", "path_column": "file",
                "label_column": "index", "labels": "indices", "validation_fraction": 0.25}  # fmt: skip
    train, held = (build("table", split, **settings) for split in ("train", "validation"))
    assert (len(train), len(held)) == (96, 32)  # 4 pictures of each of 32 classes
    assert sorted(held.labels) == sorted(set(train.labels))
    index = names(train).index(next(name for name in names(train) if name.startswith("Leopards")))
    assert train[index][1] == 288  # ImageNet's leopard
    with Image.open(train.path_of(index)) as image:
        assert train[index][0].tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,kind,split\na.png,cat,train\n",
         "{file} has no column `label` (line 2 has path, kind, split); set `label_column`"),
        ("path,label\na.png,cat\n",
         "{file} has no column `split` (line 2 has path, label); set `split_column` or `validation_fraction`"),
        (CSV + "x.png,dog,train\n", "1 of 3 pictures that {file} names are not in {root}: x.png; {root} holds "
                                    "a.png, b.png, c.png, labels.csv"),
        (CSV + "../x.png,dog,train\n", "{file}: line 5: the path is '../x.png', not one below .; mend them"),
        (CSV + "a.png,dog,train\n", "{file}: line 5: a.png stands in line 2 already; mend them"),
        (CSV + "a.png,dog\n", "{file}: line 5 has not 3 cells, as the header has; mend it"),
        ("path,label,split\n", "{file} has no rows; write one a picture"),
        ("path,label,split\na.png,cat,fit\n",
         "the split `train` is empty: no row of {file} has `train` in the column `split`, which holds 'fit'; "
         "set `train_value`, or `validation_fraction`"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_told_with_its_line(build: Any, table: Path, text: str, told: str) -> None:
    (table / "labels.csv").write_text(text)
    with pytest.raises(RegistryError) as caught:
        build("table", root=str(table))
    assert str(caught.value) == told.replace("{file}", str(table / "labels.csv")).replace("{root}", str(table / "."))


def test_labels_that_are_no_class_are_refused(build: Any, table: Path) -> None:
    with pytest.raises(RegistryError, match=r"b.png: the label `dog` is no class; the classes are cat, cow"):
        build("table", root=str(table), categories=["cat", "cow"])


@pytest.mark.parametrize(("name", "data"), [("t.jsonl", b"{"), ("t.jsonl", b"[1]"), ("t.csv", b"\xff"), ("t.txt", b"")])
def test_a_file_that_is_no_table_is_refused(build: Any, table: Path, name: str, data: bytes) -> None:
    (table / name).write_bytes(data)
    with pytest.raises(RegistryError, match=str(table / name)):
        build("table", root=str(table), table=name)


# ---- pictures and masks ----------------------------------------------------------------------------------------------

IDS = [[0, 1, 2, 255]] * 3


@pytest.fixture
def pairs(tmp_path: Path, picture: Any, mask: Any) -> Path:
    for name in ("train", "val"):
        picture(tmp_path / name / "images" / "7.jpg", (4, 3))
        mask(tmp_path / name / "masks" / "7.png", IDS)
    return tmp_path


def test_masks_are_the_indices_of_the_palette(build: Any, pairs: Path) -> None:
    image, ids = build("mask_pairs", root=str(pairs))[0]
    assert (image.size, ids.tolist(), str(ids.dtype)) == ((4, 3), IDS, "torch.uint8")


def test_real_masks_are_what_pillow_reads(build: Any, shared_data: Path) -> None:
    root = shared_data / "coco_voc_seg"
    classes = (root / "classes.txt").read_text().split()
    data = build("mask_pairs", "validation", root=str(root), validation_fraction=0.25, categories=classes)
    assert len(data) == 30
    for index in range(0, 30, 6):
        image, ids = data[index]
        with Image.open(root / "masks" / data.name_of(index).replace(".jpg", ".png")) as wanted:
            assert numpy.array_equal(ids.numpy(), numpy.asarray(wanted))
        assert image.size == (ids.shape[1], ids.shape[0])


def test_pictures_and_masks_must_be_pairs(build: Any, pairs: Path, picture: Any) -> None:
    picture(pairs / "train" / "images" / "8.jpg")
    with pytest.raises(RegistryError, match=r"1 pictures of .* have no mask in .*: 8.jpg"):
        build("mask_pairs", root=str(pairs))
    picture(pairs / "train" / "images" / "8.png")
    with pytest.raises(RegistryError, match=r"holds both 8.jpg and 8.png"):
        build("mask_pairs", root=str(pairs))
    picture(pairs / "val" / "masks" / "9.png")
    with pytest.raises(RegistryError, match=r"1 masks of .* have no picture in .*: 9.png"):
        build("mask_pairs", "validation", root=str(pairs))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: Image.new("RGB", (4, 3)).save(path), "holds colours (mode RGB) instead of ids"),
        (lambda path: Image.new("L", (4, 2)).save(path), "is 4x2 pixels, and its picture 4x3; make them one size"),
        (lambda path: Image.new("L", (4, 3), 17).save(path), "holds the ids 17; classes are 0 to 2, and 255 does not"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot read mask"),
    ],
)
def test_a_mask_that_holds_no_ids_is_refused(build: Any, pairs: Path, spoil: Any, told: str) -> None:
    path = pairs / "train" / "masks" / "7.png"
    spoil(path)
    data = build("mask_pairs", root=str(pairs), categories=["a", "b", "c"])
    with pytest.raises(RegistryError) as caught:
        data[0]
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_grey_mask_of_few_bits_is_refused_as_its_values_are_stretched(build: Any, pairs: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 3, 4, 0, 0, 0, 0)  # 4 bits of grey
    rows = b"".join(b"\0\x01\x20" for _ in range(3))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (pairs / "train" / "masks" / "7.png").write_bytes(data)
    with pytest.raises(RegistryError, match="fewer than 8 bits of grey instead of ids"):
        build("mask_pairs", root=str(pairs))[0]


# ---- Pascal VOC ------------------------------------------------------------------------------------------------------

XML = """<annotation><size><width>20</width><height>10</height></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>8</xmax><ymax>6</ymax></bndbox></object>
<object><name>person</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>10</ymax></bndbox></object></annotation>"""


@pytest.fixture
def voc(tmp_path: Path, picture: Any, mask: Any) -> Path:
    for name in ("2007_1", "2007_2"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", (20, 10))
        mask(tmp_path / "SegmentationClass" / f"{name}.png", [[12] * 20] * 9 + [[255] * 20])
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{name}.xml").write_text(XML)
    for kind in ("Main", "Segmentation"):
        (tmp_path / "ImageSets" / kind).mkdir(parents=True)
        (tmp_path / "ImageSets" / kind / "train.txt").write_text("2007_1\n")
        (tmp_path / "ImageSets" / kind / "val.txt").write_text("2007_2  1\n\n")
    return tmp_path


def test_voc_counts_pixels_from_one_and_includes_the_last(build: Any, voc: Path) -> None:
    data = build("voc_detection", root=str(voc))
    target = data[0][1]
    assert target["boxes"].tolist() == [[2, 1, 8, 6]]  # columns 3 to 8 are six pixels
    assert (target["labels"].tolist(), data.categories[12]) == ([12], "dog")
    assert target["area"].tolist() == [30]
    held = build("voc_detection", "validation", root=str(voc))
    assert (names(held), held[0][1]["iscrowd"].tolist()) == (["2007_2.jpg"], [0, 1])
    assert held[0][1]["boxes"].tolist()[1] == [0, 0, 20, 10]
    assert build("voc_detection", root=str(voc), difficult="kept")[0][1]["labels"].tolist() == [12, 15]


def test_voc_masks(build: Any, voc: Path) -> None:
    data = build("voc_segmentation", "validation", root=str(voc))
    assert data[0][1].unique().tolist() == [12, 255]
    assert (len(data.categories), data.categories[0]) == (21, "__background__")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (XML.replace("dog", "dragon"), "2007_1.xml: the object `dragon` is no class; mend them, or set `categories`"),
        (XML.replace("<xmin>3</xmin>", ""), "2007_1.xml: the object `dog` has no bndbox of four numbers"),
        (XML.replace(">3<", ">nan<"), "2007_1.xml: the object `dog` has no bndbox of four numbers"),
        ("<annotation>", "2007_1.xml is not XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "2007_1.xml declares a document type"),
    ],
)
def test_a_wrong_annotation_of_voc_is_told(build: Any, voc: Path, text: str, told: str) -> None:
    (voc / "Annotations" / "2007_1.xml").write_text(text)
    with pytest.raises(RegistryError) as caught:
        build("voc_detection", root=str(voc))
    assert told in str(caught.value)


def test_a_wrong_layout_of_voc_is_told(build: Any, voc: Path) -> None:
    (voc / "ImageSets" / "Main" / "train.txt").write_text("../x\n")
    with pytest.raises(RegistryError, match=r"names pictures outside of .*: \.\./x"):
        build("voc_detection", root=str(voc))
    (voc / "ImageSets" / "Main" / "train.txt").unlink()
    with pytest.raises(
        RegistryError, match=r"there is no file .*/train.txt; expected the list of the split `train`, but"
    ):
        build("voc_detection", root=str(voc))
    with pytest.raises(RegistryError, match=r"expected Pascal VOC's layout: JPEGImages, ImageSets and Annotations"):
        build("voc_detection", root=str(voc / "JPEGImages"))
