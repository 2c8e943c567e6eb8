"""The segmentation task: what the model is fed, and what becomes of its logits."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pycocotools.mask import decode
from torch.nn import functional as F
from torchvision.transforms._presets import SemanticSegmentation

import registry
from registry.errors import MissingExtraError

pytestmark = pytest.mark.usefixtures("one_thread")


def task_of(name: str = "lraspp_mnv3_large", **overrides: Any) -> Any:
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    return registry.default_registry().task(registry.load_spec(name, overrides=settings))


def halves() -> torch.Tensor:
    """Logits (1, 21, 1, 2): 10 for class 0 on the left and for class 2 on the right."""
    logits = torch.zeros(1, 21, 1, 2)
    logits[0, 0, 0, 0] = logits[0, 2, 0, 1] = 10
    return logits


#: Mean probability of a half's class at twice the size: bilinear weights 1 and 3/4 without aligned corners.
OUTER = math.exp(10) / (math.exp(10) + 20)
INNER = math.exp(7.5) / (math.exp(7.5) + math.exp(2.5) + 19)
SCORE = (OUTER + INNER) / 2


@pytest.mark.parametrize(("name", "side"), [("lraspp_mnv3_large", 520), ("deeplabv3_mnv3_large_320", 320)])
def test_preprocessing_is_bit_equal_to_torchvisions_preset(name: str, side: int, shared_data: Path) -> None:
    files = sorted((shared_data / "coco_voc_seg" / "images").iterdir())[:2]
    for file in files:
        image = Image.open(file).convert("RGB")
        assert torch.equal(task_of(name).preprocess(image), SemanticSegmentation(resize_size=side)(image))


def test_a_picture_keeps_its_size_where_resize_is_null_and_grey_has_one_channel() -> None:
    image = Image.new("RGB", (7, 5), (51, 51, 51))
    settings: dict[str, Any] = {"task__preprocessing__resize": None, "task__preprocessing__mean": [0.1]}
    found = task_of(**settings, task__preprocessing__std=[0.5]).preprocess(image)
    assert found.shape == (1, 5, 7)
    assert found.unique().tolist() == pytest.approx([(51 / 255 - 0.1) / 0.5])


def test_size_is_the_shorter_side_and_other_options_are_not_followed() -> None:
    spec = registry.load_spec("lraspp_mnv3_large")
    assert spec.settings_for("size", 320) == {"task.preprocessing.resize": 320}
    assert spec.settings_for("score", 0.5) == spec.settings_for("top", 3) == {}


def test_inputs_of_one_size_are_stacked_and_others_refused() -> None:
    task = task_of()
    assert task.collate([torch.zeros(3, 4, 6), torch.ones(3, 4, 6)]).shape == (2, 3, 4, 6)
    with pytest.raises(registry.RegistryError) as caught:
        task.collate([torch.zeros(3, 4, 6), torch.ones(3, 6, 4)])
    assert str(caught.value) == "pictures of different sizes cannot share a batch; crop or pad them to one size"


def test_logits_become_ids_at_the_size_of_each_picture() -> None:
    logits = torch.randn(2, 21, 9, 7, generator=torch.Generator().manual_seed(0))
    sizes = [(30, 17), (5, 64)]
    for found, one, size in zip(task_of().postprocess({"out": logits}, sizes), logits, sizes, strict=True):
        expected = F.interpolate(one[None], size=size, mode="bilinear", align_corners=False)[0].argmax(0)
        assert found.mask.dtype == torch.uint8
        assert torch.equal(found.mask.long(), expected)
        assert sum(region.pixels for region in found.regions) == size[0] * size[1]


def test_data_and_text_of_a_result_by_arithmetic() -> None:
    task = task_of()
    (result,) = task.postprocess({"out": halves()}, [(2, 4)])
    assert result.mask.tolist() == [[0, 0, 2, 2], [0, 0, 2, 2]]
    score = pytest.approx(SCORE, abs=1e-6)
    data = task.as_data(result)
    assert data == {
        "size": [2, 4],
        "classes": [
            {"index": 0, "label": "__background__", "pixels": 4, "share": 0.5, "score": score},
            {"index": 2, "label": "bicycle", "pixels": 4, "share": 0.5, "score": score},
        ],
    }
    json.dumps(data)
    assert task.as_text(result) == " 50.0 %  __background__\n 50.0 %  bicycle"


def test_the_largest_class_comes_first() -> None:
    logits = torch.zeros(1, 21, 1, 4)
    logits[0, 15], logits[0, 3, 0, 0] = 1, 2
    (result,) = task_of().postprocess({"out": logits}, [(1, 4)])
    assert [(region.label, region.share) for region in result.regions] == [("person", 0.75), ("bird", 0.25)]


def test_ids_of_many_classes_do_not_fit_a_byte() -> None:
    logits = torch.zeros(1, 300, 2, 2)
    logits[:, 299] = 1
    task = task_of(head__num_classes=300, task__categories=None, task__ignore_index=-1)
    (result,) = task.postprocess({"out": logits}, [(2, 2)])
    assert result.mask.dtype == torch.int32
    assert task.as_text(result) == "100.0 %  class 299"


def test_coco_results_are_run_length_encoded_and_leave_the_background_out() -> None:
    task = task_of()
    (result,) = task.postprocess({"out": halves()}, [(2, 4)])
    (entry,) = json.loads(json.dumps(task.as_format("coco", result, image_id=7)))
    assert (entry["image_id"], entry["category_id"]) == (7, 2)
    assert entry["score"] == pytest.approx(SCORE, abs=1e-6)
    assert decode(entry["segmentation"]).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_another_format_is_refused_and_a_missing_package_named(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of()
    (result,) = task.postprocess({"out": halves()}, [(2, 4)])
    with pytest.raises(registry.RegistryError) as caught:
        task.as_format("yolo", result, 1)
    assert str(caught.value) == "the task `segmentation` writes no `yolo`; it writes text, json, coco"
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(MissingExtraError) as missing:
        task.as_format("coco", result, 1)
    assert str(missing.value) == (
        "writing COCO's masks needs the package `pycocotools`; install it with: pip install 'vision-registry[coco]'"
    )


def test_the_picture_of_ids_keeps_them_and_has_pascal_vocs_palette() -> None:
    task = task_of()
    logits = torch.eye(21).reshape(1, 21, 3, 7) * 10  # the class of each pixel is its number in reading order
    (result,) = task.postprocess({"out": logits}, [(3, 7)])
    pictures = task.pictures(Image.new("RGB", (7, 3)), result)
    assert list(pictures) == [".png", ".mask.png"]
    file = io.BytesIO()
    pictures[".mask.png"].save(file, "PNG")
    read = Image.open(file)
    assert read.mode == "P"
    assert numpy.array(read).tolist() == torch.arange(21).reshape(3, 7).tolist()
    colours = numpy.array(read.convert("RGB")).reshape(21, 3).tolist()
    known = {0: [0, 0, 0], 1: [128, 0, 0], 2: [0, 128, 0], 3: [128, 128, 0], 15: [192, 128, 128], 20: [0, 64, 128]}
    assert {index: colours[index] for index in known} == known
    assert len({tuple(colour) for colour in colours}) == 21


def test_classes_colour_the_picture_and_the_background_does_not() -> None:
    task = task_of()
    logits = halves().expand(1, 21, 2, 2)
    (result,) = task.postprocess({"out": logits}, [(640, 640)])
    drawn = task.draw(Image.new("RGB", (640, 640), (200, 200, 200)), result)
    assert drawn.width == 640
    assert drawn.getpixel((100, 300)) == (200, 200, 200)
    assert drawn.getpixel((500, 300)) == pytest.approx((0.4 * 200, 0.6 * 128 + 0.4 * 200, 0.4 * 200), abs=2)


@pytest.mark.parametrize("size", [(640, 480), (40, 30), (30, 400), (1200, 300)])
def test_no_entry_of_the_legend_is_cut_off(size: tuple[int, int]) -> None:
    names = ["background", "w" * 200, *("n" * (3 * index) for index in range(2, 21))]  # of many widths
    task = task_of(task__categories=names)
    logits = torch.eye(21).reshape(1, 21, 3, 7) * 10
    (result,) = task.postprocess({"out": logits}, [(size[1], size[0])])
    assert len(result.regions) == 21
    drawn = numpy.array(task.draw(Image.new("RGB", size, (250, 250, 248)), result))
    picture = round(size[1] * max(1, 640 / size[0])) if size[0] >= size[1] / 4 else size[1]
    legend = drawn[picture:]
    paper = (legend == (250, 250, 248)).all(2)
    assert paper[:, :6].all()  # a free margin all around, so that nothing reaches over the edge
    assert paper[:, -6:].all()
    assert paper[:6].all()
    assert paper[-6:].all()
    shown = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
    assert {(128, 0, 0), (0, 128, 0), (0, 64, 128)} <= shown
