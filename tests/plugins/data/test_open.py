"""Which data set a name, a file or a folder means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_data.open import dataset_spec, opened
from registry_data.recognise import candidates

from registry.errors import RegistryError, UnknownNameError
from registry.registry import Registry

FILE = json.dumps({"images": [], "annotations": [], "categories": []})
Layout = Callable[[Path, Any], None]


def write(root: Path, picture: Any, *names: str) -> None:
    """Files of a layout: pictures by their suffix, else COCO's JSON or a text."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg"):
            picture(path)
        else:
            path.write_text(FILE if path.suffix == ".json" else "x\n")


LAYOUTS: dict[str, tuple[list[str], dict[str, dict[str, Any]]]] = {
    "class folders": (
        ["train/a/1.png", "train/b/1.png", "val/a/2.png"],
        {"image_folder": {"train": "train", "validation": "val"}},
    ),
    "class folders, valid": (
        ["train/a/1.png", "valid/a/2.png"],
        {"image_folder": {"train": "train", "validation": "valid"}},
    ),
    "class folders to train on alone": (
        ["train/a/1.png"],
        {"image_folder": {"train": "train", "validation_fraction": 0.2}},
    ),
    "class folders without splits": (["a/1.png", "b/1.png"], {"image_folder": {"validation_fraction": 0.2}}),
    "COCO 2017": (
        ["annotations/instances_train2017.json", "annotations/instances_val2017.json", "train2017/1.jpg", "val2017/2.jpg"],
        {
            kind: {
                "train": {"annotations": "annotations/instances_train2017.json", "images": "train2017"},
                "validation": {"annotations": "annotations/instances_val2017.json", "images": "val2017"},
            }
            for kind in ("coco_detection", "coco_segmentation")
        },
    ),
    "one COCO file": (
        ["instances.json", "images/1.jpg"],
        {
            "coco_detection": {"train": {"annotations": "instances.json", "images": "images"}, "validation_fraction": 0.2},
            "coco_segmentation": {
                "train": {"annotations": "instances.json", "images": "images"},
                "validation_fraction": 0.2,
                "category_ids": None,
            },
        },
    ),
    "files beside pictures": (
        ["train/_annotations.coco.json", "train/1.jpg", "valid/_annotations.coco.json", "valid/2.jpg"],
        {
            kind: {
                "train": {"annotations": "train/_annotations.coco.json", "images": "train"},
                "validation": {"annotations": "valid/_annotations.coco.json", "images": "valid"},
                **more,
            }
            for kind, more in (("coco_detection", {}), ("coco_segmentation", {"category_ids": None}))
        },
    ),
    "VOC": (
        ["JPEGImages/1.jpg", "Annotations/1.xml", "SegmentationClass/1.png", "ImageSets/Main/train.txt",
         "ImageSets/Main/val.txt", "ImageSets/Segmentation/train.txt"],
        {
            "voc_detection": {"train": "train", "validation": "val"},
            "voc_segmentation": {"train": "train", "validation_fraction": 0.2},
        },
    ),
    "pictures and masks": (["images/1.jpg", "masks/1.png"], {"mask_pairs": {"validation_fraction": 0.2}}),
    "pictures and masks of two splits": (
        ["train/images/1.jpg", "train/masks/1.png", "val/images/2.jpg", "val/masks/2.png"],
        {"mask_pairs": {"train": "train", "validation": "val"}},
    ),
    "nothing of all that": (["a/notes.txt", "1.png"], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised(tmp_path: Path, picture: Any, name: str) -> None:
    files, wanted = LAYOUTS[name]
    write(tmp_path, picture, *files)
    assert {found.type: found.settings for found in candidates(tmp_path)} == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("file,label,split\n1.png,x,train\n2.png,y,val\n",
         {"images": ".", "path_column": "file", "label_column": "label", "split_column": "split",
          "validation_value": "val"}),
        ("image,class\n1.png,7\n2.png,3\n",
         {"images": ".", "path_column": "image", "label_column": "class", "labels": "indices",
          "validation_fraction": 0.2}),
        ("id,label\n1,2\n", None),
        ("file,label\n9.png,2\n", None),
        ("file,label\n../1.png,2\n", None),
    ],
)  # fmt: skip
def test_a_table_is_recognised_by_columns_and_paths(
    tmp_path: Path, picture: Any, text: str, wanted: dict[str, Any] | None
) -> None:
    write(tmp_path, picture, "1.png", "2.png")
    (tmp_path / "all.csv").write_text(text)
    found = [one.settings for one in candidates(tmp_path)]
    assert found == ([{"table": "all.csv", **wanted}] if wanted else [])


def test_real_folders_are_recognised(installed: Registry, shared_data: Path) -> None:
    found = {
        (name, task): opened(installed, shared_data / name, task=task).spec.type
        for name, task in (("coco_permissive", "detection"), ("coco_voc_seg", None), ("caltech101_imagenet", None))
    }
    assert list(found.values()) == ["coco_detection", "mask_pairs", "table"]


def test_a_folder_is_opened_and_says_by_what(installed: Registry, tmp_path: Path, picture: Any) -> None:
    write(tmp_path, picture, "train/a/1.png", "val/a/2.png")
    found = opened(installed, str(tmp_path), overrides=["seed=3"])
    assert found.recognised == "image_folder, by train/CLASS and val/CLASS"
    assert found.spec.model_dump(exclude_defaults=True) == {
        "root": str(tmp_path), "train": "train", "validation": "val", "seed": 3
    }  # fmt: skip


def test_an_ambiguous_folder_is_refused_and_a_task_decides(installed: Registry, tmp_path: Path, picture: Any) -> None:
    write(tmp_path, picture, "instances.json", "images/1.jpg")
    with pytest.raises(RegistryError) as caught:
        dataset_spec(installed, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} may be `coco_detection` (instances.json) or `coco_segmentation` (instances.json); "
        "say --task detection or --task segmentation"
    )
    assert dataset_spec(installed, tmp_path, task="segmentation").type == "coco_segmentation"


def test_a_folder_of_nothing_known_is_refused(installed: Registry, tmp_path: Path, picture: Any) -> None:
    write(tmp_path, picture, "1.png")
    with pytest.raises(RegistryError) as caught:
        dataset_spec(installed, tmp_path, task="detection")
    start = (
        f"the layout of {tmp_path} is not recognised for the task `detection`: {tmp_path} holds 1.png; known are train/"
    )
    assert str(caught.value).startswith(start)


def test_a_documents_root_starts_from_its_file_and_an_overrides_from_the_working_folder(
    installed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documents").mkdir()
    path = tmp_path / "documents" / "mine.yaml"
    path.write_text("kind: dataset\nname: mine\ntype: image_folder\nroot: photos\n")
    monkeypatch.chdir(tmp_path)
    for reference in (path, str(path), "documents/mine.yaml"):
        root = Path(dataset_spec(installed, reference).root).resolve()  # type: ignore[attr-defined]
        assert root == tmp_path / "documents" / "photos"
    assert dataset_spec(installed, path, overrides=["root=photos"]).root == "photos"  # type: ignore[attr-defined]
    assert dataset_spec(installed, path, overrides={"root": "/data"}).root == "/data"  # type: ignore[attr-defined]


def test_names_types_and_specs(installed: Registry) -> None:
    document = dataset_spec(installed, "coco2017_detection", overrides=["root=~/coco"])
    assert document.type == "coco_detection"
    assert dataset_spec(installed, "image_folder", overrides=["root=x"]).type == "image_folder"
    assert dataset_spec(installed, document) is document
    assert dataset_spec(installed, document, overrides=["seed=4"]).seed == 4  # type: ignore[attr-defined]


def test_an_unknown_name_is_answered_with_the_nearest_or_the_folder(
    installed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownNameError, match="did you mean `digits_detection`"):
        dataset_spec(installed, "digits_detektion")
    monkeypatch.chdir(tmp_path)
    Path("flowers").mkdir()
    with pytest.raises(UnknownNameError, match=r"unknown dataset `flowers`; if you mean the folder, write \./flowers"):
        dataset_spec(installed, "flowers")


def test_another_task_is_refused(installed: Registry) -> None:
    with pytest.raises(RegistryError, match="`digits_detection` is for the task `detection`, not `segmentation`"):
        dataset_spec(installed, "digits_detection", task="segmentation")


def test_a_mistake_in_a_setting_is_told_at_the_setting(installed: Registry) -> None:
    with pytest.raises(RegistryError, match="unknown key `rot`"):
        dataset_spec(installed, "image_folder", overrides=["rot=x"])
