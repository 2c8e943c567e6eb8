"""The digits: a real COCO folder, written once, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from registry_data.open import dataset_spec

import registry
from registry.errors import MissingExtraError, RegistryError
from registry.registry import Registry

pytest.importorskip("sklearn", reason="needs the extra `demo`")
pytest.importorskip("skimage", reason="needs the extra `demo`")
SMALL: dict[str, Any] = {"training_images": 20, "validation_images": 10}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "digits"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_folder_is_what_pycocotools_reads(build: Any, folder: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs the extra `coco`")
    data = build("digits_detection", root=str(folder), **SMALL)
    truth = coco.COCO(str(folder / "annotations" / "instances_train.json"))
    assert (len(data), len(truth.imgs)) == (20, 20)
    assert {c["name"] for c in truth.loadCats(truth.getCatIds())} == set("0123456789")
    for index, number in enumerate(sorted(truth.imgs)):
        annotations = truth.imgToAnns[number]
        assert 1 <= len(annotations) <= 4
        assert data[index][1]["labels"].tolist() == [a["category_id"] for a in annotations]
        for annotation in annotations:
            mask = truth.annToMask(annotation)
            rows, columns = numpy.nonzero(mask)
            box = [columns.min(), rows.min(), np_len(columns), np_len(rows)]
            assert annotation["bbox"] == [int(side) for side in box]
            assert annotation["area"] == mask.sum() > 0


def np_len(values: Any) -> Any:
    return values.max() + 1 - values.min()


def test_boxes_do_not_overlap_and_lie_inside(build: Any, folder: Path) -> None:
    data = build("digits_detection", root=str(folder), **SMALL)
    for index in range(len(data)):
        image, target = data[index]
        assert image.size == (128, 128)
        boxes = target["boxes"].tolist()
        for number, (x1, y1, x2, y2) in enumerate(boxes):
            assert 0 <= x1 < x2 <= 128
            assert 0 <= y1 < y2 <= 128
            for a1, b1, a2, b2 in boxes[:number]:
                assert x2 <= a1 or a2 <= x1 or y2 <= b1 or b2 <= y1


def test_masks_are_where_the_boxes_are(build: Any, folder: Path) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    masks = build("digits_segmentation", root=str(folder), **SMALL)
    held = json.loads((folder / "annotations" / "instances_train.json").read_text())
    first = [a for a in held["annotations"] if a["image_id"] == 1]
    ids = masks[0][1].numpy()
    for annotation in first:
        x, y, w, h = annotation["bbox"]
        inside = ids[y : y + h, x : x + w]
        assert (inside == annotation["category_id"]).sum() == annotation["area"]
    assert (ids > 0).sum() == sum(a["area"] for a in first)
    assert masks.categories == ("__background__", *"0123456789")


def test_a_picture_of_a_class_shows_one_digit_and_they_take_turns(build: Any, folder: Path) -> None:
    train = build("digits_classification", root=str(folder), **SMALL)
    held = build("digits_classification", "validation", root=str(folder), **SMALL)
    assert [train[i][1] for i in range(20)] == [*range(10), *range(10)]
    assert [held[i][1] for i in range(10)] == list(range(10))
    assert (train[0][0].size, train.categories) == ((64, 64), tuple("0123456789"))


def test_ink_is_far_from_the_photograph(build: Any, folder: Path) -> None:
    """Whoever reads the digit must be able to: ink and photograph differ by a quarter of the range or more, on average."""
    pytest.importorskip("pycocotools", reason="needs the extra `coco`")
    masks = build("digits_segmentation", root=str(folder), **SMALL, most_digits=1)
    for index in range(len(masks)):
        image, ids = masks[index]
        grey, inked = numpy.asarray(image.convert("L")).astype(float), ids.numpy() > 0
        assert abs(grey[inked].mean() - grey[~inked].mean()) > 32, masks.name_of(index)


def test_no_split_shows_a_digit_or_photograph_of_the_other() -> None:
    from registry_data.digits_material import PHOTOGRAPHS, material

    assert not set(PHOTOGRAPHS["train"]) & set(PHOTOGRAPHS["validation"])
    train, held = material("train"), material("validation")
    assert len(train.labels) + len(held.labels) == 1797  # all that scikit-learn ships
    for digit in range(10):
        both = train.labels.count(digit) + held.labels.count(digit)
        assert abs(held.labels.count(digit) - both / 4) <= 0.5


def test_the_same_settings_make_the_same_bytes_and_other_seeds_others(build: Any, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        build("digits_detection", root=str(folder), **SMALL, seed=seed)
    one, same, other = map(snapshot, folders)
    assert one == same
    assert one["train/000001.jpg"] != other["train/000001.jpg"]


def test_it_is_written_once(build: Any, folder: Path) -> None:
    build("digits_detection", root=str(folder), **SMALL)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    build("digits_detection", "validation", root=str(folder), **SMALL)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_by_default_it_lies_in_the_cache(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path / "cache"))
    data = build("digits_detection", **SMALL)
    assert data.folder.is_relative_to(tmp_path / "cache" / "data")
    assert len(list((tmp_path / "cache" / "data").glob("digits-*"))) == 1


def test_a_folder_of_something_else_is_left_alone(build: Any, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(RegistryError, match="is not empty and holds no digits; set `root` to a new or empty folder"):
        build("digits_detection", root=str(folder), **SMALL)
    assert snapshot(folder) == {"thesis.txt": b"mine"}


def test_an_empty_folder_is_filled_and_one_of_other_settings_refused(build: Any, folder: Path) -> None:
    folder.mkdir()
    build("digits_detection", root=str(folder), **SMALL)
    with pytest.raises(RegistryError, match=r"holds digits of other settings \(seed\); set `root` to another folder"):
        build("digits_detection", root=str(folder), **SMALL, seed=5)


def test_an_interrupted_run_leaves_nothing(build: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import registry_data.digits_folder

    calls = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return real(*arguments)

    real = registry_data.digits_folder.make_scene
    monkeypatch.setattr(registry_data.digits_folder, "make_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build("digits_detection", root=str(folder), **SMALL)
    assert [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"] == []
    monkeypatch.setattr(registry_data.digits_folder, "make_scene", real)
    assert len(build("digits_detection", root=str(folder), **SMALL)) == 20


def _built(folder: str) -> int:
    made = registry.default_registry()
    spec = dataset_spec(made, "digits_detection", overrides={"root": folder, **SMALL})
    return len(made.host.target(spec)(spec, "train"))


def test_processes_that_ask_at_once_get_one_folder(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_built, [str(folder)] * 3) == [20, 20, 20]
    assert sorted(path.name for path in folder.parent.iterdir()) in (["digits"], [".digits.lock", "digits"])


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else False, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(build: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RegistryError, match="set `root` to another folder"):
        build("digits_detection", root=str(tmp_path / "digits"), **SMALL)


def test_a_file_in_the_way_is_told(build: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="is no folder, and the digits are one"):
        build("digits_detection", root=str(tmp_path / "file"), **SMALL)
    with pytest.raises(RegistryError, match="the digits cannot be written to"):
        build("digits_detection", root=str(tmp_path / "file" / "below"), **SMALL)


@pytest.mark.parametrize(("module", "package"), [("sklearn.datasets", "scikit-learn"), ("skimage", "scikit-image")])
def test_without_a_package_the_extra_is_named(
    build: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        build("digits_detection", root=str(folder), **SMALL)
    assert str(caught.value) == (
        f"making the digits needs the package `{package}`; install it with: pip install 'vision-registry[demo]'"
    )
    assert not folder.exists()


def test_its_settings_are_checked(installed: Registry) -> None:
    with pytest.raises(RegistryError, match=r"the smallest digit, 0.9, is larger than the largest, 0.5"):
        dataset_spec(installed, "digits_detection", overrides={"smallest": 0.9, "largest": 0.5})
    with pytest.raises(RegistryError, match="must be at most 1, got 2"):
        dataset_spec(installed, "digits_classification", overrides={"most_digits": 2})
