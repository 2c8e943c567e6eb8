"""Trainings learn: each task on the digits from random weights, and real photographs better from weights than without.

Figures are those of the last validation: on pictures that show other digits and other photographs than those of training, or on
the third of the real photographs that is held out. The runs of seconds ask for less than the recipes reach, the slow ones for
what docs/results.md tells.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
from click.testing import CliRunner
from PIL import Image
from registry_training.command_train import train

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSIFIER, SEGMENTER, DETECTOR = "mobilenet_v3_digits_48", "lraspp_digits_64", "fasterrcnn_digits_128"


def trained(folder: Path, *words: object, **settings: object) -> dict[str, float]:
    """Figures of the last validation of `registry train`; settings are written `recipe__epochs=2`."""
    given = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    options = [*given, "--output", folder, "--device", "cpu", "--workers", 1, "--format", "json"]
    result = CliRunner().invoke(train, [str(word) for word in (*words, *options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    figures: dict[str, float] = json.loads(result.stdout)["figures"]
    return figures


# ---- digits, from random weights -------------------------------------------------------------------------------------


def test_a_short_run_reads_digits(tmp_path: Path) -> None:
    # one of ten by chance
    settings: dict[str, object] = {
        "dataset__training_images": 640,
        "dataset__validation_images": 200,
        "task__preprocessing": "{resize: 32, crop: 32}",
        "recipe__augmentation__policy": "null",
        "recipe__warmup__epochs": 1,
        "recipe__epochs": 10,
        "recipe__validate_every": 10,
    }
    assert trained(tmp_path, CLASSIFIER, "--data", "digits_classification", **settings)["top1"] > 0.4


def test_a_short_run_finds_the_ink_of_digits(tmp_path: Path) -> None:
    # on the pictures of training; a background everywhere overlaps by 1 / 11 at most
    settings: dict[str, object] = {
        "recipe__augmentation__resize": "[64, 64]",
        "recipe__batch_size": 8,
        "recipe__epochs": 40,
        "recipe__validate_every": 40,
    }
    assert trained(tmp_path, SEGMENTER, "--data", "digits_segmentation", "--overfit", 16, **settings)["miou"] > 0.2


def test_a_short_run_finds_boxes_of_digits(tmp_path: Path) -> None:
    settings: dict[str, object] = {
        "dataset__training_images": 240,
        "dataset__validation_images": 40,
        "recipe__batch_size": 4,
        "recipe__reference_batch": 4,
        "recipe__warmup": "null",
        "recipe__epochs": 1,
    }
    assert trained(tmp_path, DETECTOR, "--data", "digits_detection", **settings)["ap50"] > 0.05


@pytest.mark.slow
def test_classification_learns(tmp_path: Path) -> None:
    trained(tmp_path, CLASSIFIER, "--data", "digits_classification")
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert max(entry["figures"]["top1"] for entry in entries if "figures" in entry) > 0.97  # of best.safetensors


@pytest.mark.slow
def test_segmentation_learns(tmp_path: Path) -> None:
    settings: dict[str, object] = {"recipe__epochs": 20, "recipe__validate_every": 20}
    assert trained(tmp_path, SEGMENTER, "--data", "digits_segmentation", **settings)["miou"] > 0.70


@pytest.mark.slow
def test_detection_learns(tmp_path: Path) -> None:
    settings: dict[str, object] = {"recipe__epochs": 4, "recipe__validate_every": 4}
    assert trained(tmp_path, DETECTOR, "--data", "digits_detection", **settings)["ap50"] > 0.60


# ---- real photographs, with weights and without ----------------------------------------------------------------------

#: The sample weights pad as TensorFlow does and take -1 to 1; their norms are folded, so they stay as they are where these
#: weights are loaded, and are ordinary ones where training starts anew.
HABITS = {
    "backbone__padding": "same",
    "backbone__norm": "{kind: auto, eps: 0.001, momentum: 0.1}",
}
LEVELS = "mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]"


def both(
    shared_data: Path, folder: Path, *words: object, **settings: object
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures with the weights of the backbone, and from random weights, of the same recipe."""
    weights = next((shared_data / "weights_mbv3_small").glob("*.safetensors"))
    settings = {**HABITS, **settings}
    tuned = trained(folder / "tuned", *words, "--backbone-weights", weights, **settings)
    return tuned, trained(folder / "anew", *words, **settings, recipe__start="random")


def written(folder: Path, kind: str, **settings: object) -> Path:
    """The document of a data set in its folder."""
    path = folder / "data.yaml"
    path.write_text(json.dumps({"kind": "dataset", "name": "photographs", "type": kind, "root": ".", **settings}))
    return path


@pytest.mark.slow
def test_weights_help_to_name_photographs(shared_data: Path, tmp_path: Path) -> None:
    # 32 classes: 85 photographs to train on, 43 held out
    source, folder = shared_data / "caltech101_imagenet", tmp_path / "photos"
    shutil.copytree(source / "images", folder / "images")
    with (source / "labels.csv").open(encoding="utf-8") as stream:
        rows = sorted((row["file"], row["caltech_class"]) for row in csv.DictReader(stream))
    lines = [f"{file},{name},{'val' if index % 3 == 1 else 'train'}" for index, (file, name) in enumerate(rows)]
    (folder / "labels.csv").write_text("\n".join(["path,label,split", *lines]))
    tuned, anew = both(
        shared_data,
        tmp_path,
        "mobilenet_v3_small",
        "--data",
        written(folder, "table", images="images"),
        "--recipe",
        "finetune_classification",
        task__preprocessing=f"{{resize: 128, crop: 112, {LEVELS}}}",
        recipe__batch_size=16,
        recipe__validate_every=20,
    )
    assert tuned["top1"] > anew["top1"] + 0.3


@pytest.mark.slow
def test_weights_help_to_segment_people(shared_data: Path, tmp_path: Path) -> None:
    # 80 photographs to train on, 40 held out
    source, folder = shared_data / "coco_voc_seg", tmp_path / "masks"
    shutil.copytree(source / "images", folder / "images")
    (folder / "masks").mkdir()
    person = (source / "classes.txt").read_text(encoding="utf-8").split().index("person")
    for file in (source / "masks").iterdir():
        ids = numpy.array(Image.open(file))
        mask = numpy.where(ids == 255, 255, ids == person).astype(numpy.uint8)
        Image.fromarray(mask).save(folder / "masks" / file.name)
    tuned, anew = both(
        shared_data,
        tmp_path,
        "lraspp_mnv3_small",
        "--data",
        written(folder, "mask_pairs", categories=["background", "person"], validation_fraction=0.3333),
        "--recipe",
        "finetune_segmentation",
        task__preprocessing=f"{{resize: 160, {LEVELS}}}",
        recipe__augmentation="{kind: segmentation, resize: [144, 240], crop: 160}",
        backbone__trainable_stages=0,
        recipe__rate=0.003,
        recipe__epochs=12,
        recipe__validate_every=12,
    )
    assert tuned["iou/person"] > anew["iou/person"] + 0.1


@pytest.mark.slow
def test_weights_help_to_find_people(shared_data: Path, tmp_path: Path) -> None:
    # 37 photographs with people who are a fifth of its height or more: 25 to train on, 12 held out; smaller ones do not count
    source, folder = shared_data / "coco_permissive", tmp_path / "people"
    shutil.copytree(source / "images", folder / "images")
    truth: dict[str, Any] = json.loads((source / "instances.json").read_text(encoding="utf-8"))
    person = next(category for category in truth["categories"] if category["name"] == "person")
    sides = {image["id"]: min(image["width"], image["height"]) for image in truth["images"]}
    people = [a for a in truth["annotations"] if a["category_id"] == person["id"]]
    for one in people:
        width, height = one["bbox"][2:]
        one["iscrowd"] = int(bool(one["iscrowd"]) or (width * height) ** 0.5 < 0.2 * sides[one["image_id"]])
    shown = {one["image_id"] for one in people if not one["iscrowd"]}
    truth["categories"] = [person]
    truth["annotations"] = [one for one in people if one["image_id"] in shown]
    truth["images"] = [image for image in truth["images"] if image["id"] in shown]
    (folder / "instances.json").write_text(json.dumps(truth))
    files = {"annotations": "instances.json", "images": "images"}
    tuned, anew = both(
        shared_data,
        tmp_path,
        "fasterrcnn_mnv3_small_320_fpn",
        "--data",
        written(folder, "coco_detection", train=files, validation_fraction=0.3333),
        "--recipe",
        "finetune_detection",
        backbone__trainable_stages=0,
        head__image=f"{{min_size: 160, max_size: 240, {LEVELS}}}",
        head__rpn="{pre_nms_top_n_train: 200, post_nms_top_n_train: 200}",
        head__box__batch_size_per_image=64,
        recipe__optimizer="{kind: adamw, weight_decay: 0.01}",
        recipe__rate=0.001,
        recipe__epochs=14,
        recipe__validate_every=14,
    )
    assert tuned["ap50"] > anew["ap50"] + 0.08
