"""The detection task: what is fed, how results read, what COCO's tools make of them, and the picture of a result."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms._presets import ObjectDetection

import registry
from registry.predictor import Predictor

LARGE, LOW, SSDLITE = "fasterrcnn_mnv3_large_fpn", "fasterrcnn_mnv3_large_320_fpn", "ssdlite320_mnv3_large"
GREY = (90, 90, 90)


def task(**settings: Any) -> Any:
    overrides = {f"task.{key}": value for key, value in settings.items()}
    return registry.default_registry().task(registry.load_spec(LARGE, overrides=overrides))


def found(*rows: tuple[tuple[float, float, float, float], int, float], dtype: Any = None) -> dict[str, Tensor]:
    """What a model returns for one image: corners, class and score of each object."""
    return {
        "boxes": torch.tensor([row[0] for row in rows], dtype=dtype).reshape(-1, 4),
        "labels": torch.tensor([row[1] for row in rows], dtype=torch.int64),
        "scores": torch.tensor([row[2] for row in rows], dtype=dtype),
    }


def result(task: Any, *rows: Any) -> Any:
    (read,) = task.postprocess([found(*rows)], [(480, 640)])
    return read


CAT = ((10.126, 20.5, 110.126, 220.25), 17, 0.875)
DOG = ((0.0, 0.0, 639.996, 480.0), 18, 0.5)
PERSON = ((5.0, 6.0, 7.0, 8.0), 1, 0.25)


# what is fed


@pytest.mark.parametrize("file", ["000000084284.jpg", "000000331352.jpg", "000000404484.jpg"])
def test_preprocessing_is_bit_equal_to_torchvisions(shared_data: Path, file: str) -> None:
    picture = Image.open(shared_data / "coco_permissive" / "images" / file).convert("RGB")
    tensor = task().preprocess(picture)
    assert tensor.shape == (3, picture.height, picture.width)
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, ObjectDetection()(picture))


def test_grey_models_are_fed_one_channel() -> None:
    picture = Image.new("RGB", (5, 4), (255, 255, 255))
    tensor = task(colour="grey").preprocess(picture)
    assert torch.equal(tensor, torch.ones(1, 4, 5))
    luma = task(colour="grey").preprocess(Image.new("RGB", (1, 1), (255, 0, 0)))
    assert luma.item() == pytest.approx(0.299, abs=0.002)


def test_pictures_of_any_sizes_are_one_batch() -> None:
    inputs = [torch.zeros(3, 4, 5), torch.zeros(3, 9, 2)]
    batch = task().collate(inputs)
    assert [image.shape for image in batch] == [image.shape for image in inputs]


def test_losses_are_the_models_own() -> None:
    own = {"loss": torch.tensor(1.0)}
    given: list[Any] = []

    def model(*arguments: Any) -> dict[str, Tensor]:
        given.append(arguments)
        return own

    head = registry.load_spec(LARGE).head
    assert task().losses(model, ["images"], ["targets"], head) is own
    assert given == [(["images"], ["targets"])]


# how results read


def test_results_are_sorted_and_cut_by_score_and_number() -> None:
    rows = [PERSON, DOG, CAT]
    read = result(task(score_threshold=0.5), *rows)
    assert [(box.label, box.index, box.score) for box in read.boxes] == [("cat", 17, 0.875), ("dog", 18, 0.5)]
    assert [box.label for box in result(task(score_threshold=0.0, top=1), *rows).boxes] == ["cat"]
    assert [box.label for box in result(task(score_threshold=0.0), *rows).boxes] == ["cat", "dog", "person"]
    assert result(task(score_threshold=1.0), *rows).boxes == ()


def test_equal_scores_keep_the_models_order() -> None:
    rows = [((i, i, i + 1, i + 1), i + 1, 0.75) for i in range(50)]
    assert [box.index for box in result(task(top=50), *rows).boxes] == list(range(1, 51))


def test_each_picture_of_a_batch_has_its_own_result() -> None:
    first, second = task().postprocess([found(CAT), found()], [(480, 640), (5, 5)])
    assert len(first.boxes) == 1
    assert second.boxes == ()


def test_half_precision_results_are_read() -> None:
    (read,) = task().postprocess([found(CAT, dtype=torch.bfloat16)], [(480, 640)])
    assert read.boxes[0].score == 0.875
    assert read.boxes[0].x2 == pytest.approx(110.126, rel=0.01)


def test_classes_without_names_are_numbered() -> None:
    spec = registry.load_spec(LARGE, num_classes=3)
    read = result(registry.default_registry().task(spec), ((1.0, 2.0, 3.0, 4.0), 2, 0.9))
    assert read.boxes[0].label == "class 2"


def test_plain_data_holds_corners_class_and_score() -> None:
    assert task().as_data(result(task(), CAT, DOG)) == {
        "boxes": [
            {"box": [10.13, 20.5, 110.13, 220.25], "index": 17, "label": "cat", "score": 0.875},
            {"box": [0.0, 0.0, 640.0, 480.0], "index": 18, "label": "dog", "score": 0.5},
        ]
    }
    assert task().as_data(result(task())) == {"boxes": []}


def test_text_has_a_line_for_each_object() -> None:
    everything = task(score_threshold=0.0)
    assert everything.as_text(result(everything, CAT, PERSON)) == (
        " 87.5 %  cat     10,20 to 110,220\n 25.0 %  person  5,6 to 7,8"
    )
    assert task().as_text(result(task(), PERSON)) == "nothing found with a score of 0.5 or more"


# COCO's result format


def test_cocos_format_has_width_and_height() -> None:
    assert task().formats == ("coco",)
    assert task().as_format("coco", result(task(), CAT, DOG), 42) == [
        {"image_id": 42, "category_id": 17, "bbox": [10.13, 20.5, 100.0, 199.75], "score": 0.875},
        {"image_id": 42, "category_id": 18, "bbox": [0.0, 0.0, 640.0, 480.0], "score": 0.5},
    ]


def test_perfect_boxes_reach_an_average_precision_of_one_with_cocos_own_tools() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    boxes = {7: [((10, 20, 110, 220), 17), ((300, 40, 330, 52), 18)], 9: [((0, 0, 640, 480), 17)]}
    annotations = [
        {"image_id": image, "category_id": label, "bbox": [a, b, c - a, d - b], "area": (c - a) * (d - b), "iscrowd": 0}
        for image, objects in boxes.items()
        for (a, b, c, d), label in objects
    ]
    truth = coco.COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image, "width": 640, "height": 480} for image in boxes],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
        "annotations": [{"id": number, **a} for number, a in enumerate(annotations, start=1)],
    }
    truth.createIndex()

    def precision(shift: float) -> float:
        entries = []
        for image, objects in boxes.items():
            rows = [((a + shift, b, c + shift, d), label, 0.9) for (a, b, c, d), label in objects]
            entries += task().as_format("coco", result(task(), *rows), image)
        evaluated = evaluation.COCOeval(truth, truth.loadRes(entries), "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
        return float(evaluated.stats[0])

    assert precision(0) == pytest.approx(1.0)
    assert precision(20) < 0.8


# the picture


def drawn(size: tuple[int, int], *rows: Any) -> Image.Image:
    everything = task(score_threshold=0.0)
    return everything.draw(Image.new("RGB", size, GREY), result(everything, *rows))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (640, 480)),
        ((1280, 700), (1280, 700)),
        ((320, 240), (640, 480)),
        ((100, 50), (640, 320)),
        ((1, 1), (640, 640)),
        ((1, 640), (1, 640)),
        ((3, 300), (6, 640)),
        ((700, 1), (700, 1)),
        ((3000, 2000), (3000, 2000)),
    ],
)
def test_small_pictures_are_enlarged_to_640_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    width, height = size
    sheet = drawn(size, ((0, 0, width, height), 1, 0.9), ((0.2 * width, 0, 0.7 * width, 0.5 * height), 2, 0.8))
    assert sheet.size == expected
    assert sheet.mode == "RGB"


def test_a_result_without_objects_leaves_the_picture_alone() -> None:
    picture = Image.radial_gradient("L").resize((700, 500)).convert("RGB")
    sheet = task().draw(picture, result(task()))
    assert sheet.tobytes() == picture.tobytes()
    assert sheet is not picture


@pytest.mark.parametrize(
    ("size", "corners"),
    [((640, 480), (100, 120, 300, 200)), ((320, 240), (50, 60, 150, 100))],
    ids=["as is", "doubled"],
)
def test_a_box_is_drawn_along_its_own_edge(size: tuple[int, int], corners: tuple[int, int, int, int]) -> None:
    sheet = drawn(size, (corners, 1, 0.9))
    fill = sheet.getpixel((100, 120))
    assert fill != GREY
    edge = [(100, 160), (101, 160), (300, 160), (299, 160), (200, 120), (250, 121), (200, 200), (200, 199), (300, 200)]
    assert {sheet.getpixel(place) for place in edge} == {fill}
    inside_and_out = [(102, 160), (298, 160), (200, 122), (200, 198), (99, 160), (301, 160), (200, 201), (200, 160)]
    assert {sheet.getpixel(place) for place in inside_and_out} == {GREY}


def test_the_best_box_lies_on_top_and_classes_have_colours_of_their_own() -> None:
    box = (100, 120, 300, 200)
    colours = [drawn((640, 480), (box, index, 0.9)).getpixel((200, 200)) for index in range(1, 91)]
    assert len(set(colours)) == 90
    sheet = drawn((640, 480), (box, 1, 0.3), (box, 2, 0.9), (box, 3, 0.6))
    assert sheet.getpixel((200, 200)) == colours[1]


def test_boxes_that_reach_out_of_the_picture_are_cut_at_its_edge() -> None:
    sheet = drawn((640, 480), ((-50, -60, 900, 800), 1, 0.9))
    fill = sheet.getpixel((639, 479))
    assert fill != GREY
    assert {sheet.getpixel(place) for place in [(0, 479), (639, 200), (300, 479), (0, 300)]} == {fill}


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """The filled rectangles that are drawn, edges included: the grounds of the labels."""
    grounds: list[tuple[int, int, int, int]] = []
    rectangle = ImageDraw.ImageDraw.rectangle

    def record(self: ImageDraw.ImageDraw, xy: Any, fill: Any = None, outline: Any = None, width: int = 1) -> None:
        if fill is not None:
            grounds.append(tuple(xy))
        rectangle(self, xy, fill=fill, outline=outline, width=width)

    monkeypatch.setattr(ImageDraw.ImageDraw, "rectangle", record)
    return grounds


CORNERS = {
    "middle": (200, 200, 400, 300),
    "top left": (0, 0, 50, 40),
    "top right": (630, 0, 640, 20),
    "bottom left": (0, 470, 20, 480),
    "bottom right": (635, 475, 640, 480),
    "whole": (0, 0, 640, 480),
    "beyond": (600, 470, 900, 900),
    "before": (-200, -100, -5, -5),
}


@pytest.mark.parametrize("corners", CORNERS.values(), ids=CORNERS)
@pytest.mark.parametrize("factor", [1 / 640, 0.25, 1, 4])
def test_labels_stay_inside_of_the_picture(
    labels: list[tuple[int, int, int, int]], corners: tuple[int, int, int, int], factor: float
) -> None:
    size = (max(1, round(640 * factor)), max(1, round(480 * factor)))
    sheet = drawn(size, (tuple(value * factor for value in corners), 14, 0.9))  # `parking meter` is among the longest
    ((left, top, right, bottom),) = labels
    assert 0 <= left < right < sheet.width
    assert 0 <= top < bottom < sheet.height
    assert right - left > 40
    assert bottom - top > 8


@pytest.mark.parametrize("size", [(640, 1), (1, 640), (1, 1), (2, 3000)])
def test_a_picture_too_narrow_for_a_label_still_shows_its_beginning(
    labels: list[tuple[int, int, int, int]], size: tuple[int, int]
) -> None:
    sheet = drawn(size, ((0, 0, size[0], size[1]), 14, 0.9))
    ((left, top, _, _),) = labels
    assert 0 <= left < sheet.width
    assert 0 <= top < sheet.height


def test_a_label_stands_on_its_box_where_there_is_room(labels: list[tuple[int, int, int, int]]) -> None:
    drawn((640, 480), ((200, 200, 400, 300), 1, 0.9))
    ((left, _, _, bottom),) = labels
    assert (left, bottom) == (200, 199)


# options of prediction


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [("score", 0.3, {"score_threshold": 0.3}), ("top", 7, {"top": 7}), ("size", 320, {})],
)
def test_the_task_follows_score_and_top(option: str, value: Any, expected: dict[str, Any]) -> None:
    assert registry.load_spec(LARGE).task.settings_for(option, value) == expected


@pytest.mark.parametrize(
    ("document", "value", "expected", "size"),
    [
        (LARGE, 400, {"image.min_size": 400, "image.max_size": 666}, (400, 400)),  # half of 1333, which is even so
        (LOW, 160, {"image.min_size": 160, "image.max_size": 320}, (160, 160)),
        (SSDLITE, 192, {"image.size": [192, 192]}, (192, 192)),
    ],
)
def test_heads_follow_the_size(document: str, value: int, expected: dict[str, Any], size: tuple[int, int]) -> None:
    head = registry.load_spec(document).head
    assert head.settings_for("size", value) == expected
    assert head.settings_for("score", 0.5) == head.settings_for("top", 3) == {}
    changed = registry.load_spec(document, overrides={f"head.{key}": v for key, v in expected.items()})
    assert changed.head.image_size() == size


@pytest.mark.parametrize(("document", "size"), [(LARGE, (800, 800)), (LOW, (320, 320)), (SSDLITE, (320, 320))])
def test_heads_say_their_published_size(document: str, size: tuple[int, int]) -> None:
    assert registry.load_spec(document).head.image_size() == size


# the whole way


def test_a_real_photo_goes_all_the_way_to_boxes_in_its_own_pixels(shared_data: Path) -> None:
    overrides = {"head.score_threshold": 0.0, "task.score_threshold": 0.0, "task.top": 5, "head.image.size": [96, 96]}
    torch.manual_seed(0)
    model = registry.build(SSDLITE, overrides=overrides)
    predictor = Predictor(model, registry.default_registry().task(model.spec))
    file = shared_data / "coco_permissive" / "images" / "000000331352.jpg"
    picture, read = predictor.predict(file)
    assert picture.size == (351, 500)
    assert len(read.boxes) == 5
    assert all(0 <= box.x1 <= box.x2 <= 351 and 0 <= box.y1 <= box.y2 <= 500 for box in read.boxes)
    assert [box.score for box in read.boxes] == sorted((box.score for box in read.boxes), reverse=True)
    assert predictor.task.draw(picture, read).size == (449, 640)


def test_a_model_of_one_channel_needs_a_grey_task() -> None:
    overrides = {"backbone.in_channels": 1, "head.image.size": [96, 96]}
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, format="PNG")
    model = registry.build(SSDLITE, overrides=overrides)
    with pytest.raises(registry.RegistryError, match="takes 1 input channels, its task's pre-processing yields 3"):
        Predictor(model, registry.default_registry().task(model.spec)).predict(buffer.getvalue())
    grey = registry.load_spec(SSDLITE, overrides={**overrides, "task.colour": "grey"})
    _, read = Predictor(model, registry.default_registry().task(grey)).predict(buffer.getvalue())
    assert isinstance(read.boxes, tuple)


def test_a_result_format_that_the_task_lacks_is_refused() -> None:
    with pytest.raises(registry.RegistryError, match="coco"):
        task().as_format("voc", result(task()), 1)
