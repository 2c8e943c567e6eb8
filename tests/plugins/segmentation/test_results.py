"""Results of segmentation on real pictures, in COCO's tools, in PNG files and in pictures of any proportions."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from registry_segmentation.drawing import class_colour, draw_mask, id_picture
from torchvision.models._meta import _VOC_CATEGORIES
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import SemanticSegmentation

import registry
from registry import RegistryError

pytestmark = pytest.mark.usefixtures("one_thread")
FILES = ("000000000030", "000000000071", "000000000294")
# Pascal VOC's published palette
COLOURS = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    4: (0, 0, 128),
    7: (128, 128, 128),
    8: (64, 0, 0),
    15: (192, 128, 128),
    16: (0, 64, 0),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def task(**preprocessing: Any) -> Any:
    overrides = {f"task.preprocessing.{key}": value for key, value in preprocessing.items()}
    return registry.default_registry().task(registry.load_spec("lraspp_mnv3_small", overrides=overrides))


def picture(folder: Path, file: str) -> Image.Image:
    return Image.open(folder / "coco_voc_seg" / "images" / f"{file}.jpg").convert("RGB")


def logits_of(*probabilities: list[list[float]]) -> torch.Tensor:
    """Logits (1, classes, H, W) whose softmax is the given probability of each class at each pixel."""
    return torch.tensor(probabilities, dtype=torch.float64).log()[None]


# one entry for each class of 2x3 pixels; the likeliest are 0 1 2 and 2 2 1
CERTAIN = logits_of(
    [[0.625, 0.25, 0.125], [0.125, 0.25, 0.0625]],
    [[0.25, 0.5, 0.125], [0.125, 0.25, 0.875]],
    [[0.125, 0.25, 0.75], [0.75, 0.5, 0.0625]],
)


def certain() -> Any:
    (read,) = task().postprocess({"out": CERTAIN}, [(2, 3)])
    return read


# what is fed


@pytest.mark.parametrize("file", FILES)
def test_a_small_shorter_side_is_bit_equal_to_torchvisions(shared_data: Path, file: str) -> None:
    image = picture(shared_data, file)
    tensor = task(resize=64).preprocess(image)
    assert tensor.dtype == torch.float32
    assert min(tensor.shape[1:]) == 64
    assert torch.equal(tensor, SemanticSegmentation(resize_size=64)(image))


@pytest.mark.parametrize("mode", ["bicubic", "nearest"])
def test_other_interpolations_are_torchvisions_too(shared_data: Path, mode: str) -> None:
    image = picture(shared_data, FILES[0])
    expected = SemanticSegmentation(resize_size=64, interpolation=InterpolationMode(mode))(image)
    assert torch.equal(task(resize=64, interpolation=mode).preprocess(image), expected)


def test_antialias_off_is_what_torchvision_does_to_tensors(shared_data: Path) -> None:
    image = picture(shared_data, FILES[0])
    pixels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
    expected = SemanticSegmentation(resize_size=64, antialias=False)(pixels)
    assert torch.equal(task(resize=64, antialias=False).preprocess(image), expected)


# how results read


def test_regions_are_counted_and_scored_by_arithmetic_the_largest_first() -> None:
    read = certain()
    assert read.mask.tolist() == [[0, 1, 2], [2, 2, 1]]
    assert [(r.index, r.label, r.pixels) for r in read.regions] == [
        (2, "bicycle", 3),
        (1, "aeroplane", 2),
        (0, "__background__", 1),
    ]
    assert [r.share for r in read.regions] == [3 / 6, 2 / 6, 1 / 6]
    means = [(0.75 + 0.75 + 0.5) / 3, (0.5 + 0.875) / 2, 0.625]
    assert [r.score for r in read.regions] == pytest.approx(means, rel=1e-6)
    shares = [(entry["share"], entry["score"]) for entry in task().as_data(read)["classes"]]
    assert shares == [(0.5, 0.666667), (0.333333, 0.6875), (0.166667, 0.625)]
    assert task().as_text(read) == " 50.0 %  bicycle\n 33.3 %  aeroplane\n 16.7 %  __background__"


def test_logits_are_enlarged_before_the_class_is_chosen() -> None:
    # four columns of (0, 8) are 0, 2, 6 and 8 where corners are not aligned; the other class is 3 everywhere
    (read,) = task().postprocess({"out": torch.tensor([[[[0.0, 8.0]], [[3.0, 3.0]]]])}, [(1, 4)])
    assert read.mask.tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_logits_of_any_precision_are_read(dtype: torch.dtype) -> None:
    (read,) = task().postprocess({"out": CERTAIN.to(dtype)}, [(2, 3)])
    assert read.mask.tolist() == [[0, 1, 2], [2, 2, 1]]
    assert read.regions[2].score == pytest.approx(0.625, abs=0.01)


def test_a_real_mask_comes_back_pixel_for_pixel(shared_data: Path) -> None:
    ids = numpy.array(Image.open(shared_data / "coco_voc_seg" / "masks" / f"{FILES[0]}.png"))
    ids[ids == 255] = 0
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(ids).long(), 21).permute(2, 0, 1)[None]
    (read,) = task().postprocess({"out": one_hot * 20.0}, [ids.shape])
    assert numpy.array_equal(read.mask.numpy(), ids)
    values, counts = numpy.unique(ids, return_counts=True)
    assert {r.index: r.pixels for r in read.regions} == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert len(values) > 1
    assert all(r.label == _VOC_CATEGORIES[r.index] for r in read.regions)


def test_cocos_tools_load_the_masks_of_every_class_but_the_background() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    found = task().as_format("coco", certain(), 42)
    assert [(f["image_id"], f["category_id"], f["score"]) for f in found] == [(42, 2, 0.666667), (42, 1, 0.6875)]
    truth = coco.COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": 42, "height": 2, "width": 3}],
        "annotations": [],
        "categories": [{"id": 1, "name": "aeroplane"}, {"id": 2, "name": "bicycle"}],
    }
    truth.createIndex()
    loaded = truth.loadRes(found)
    masks = {a["category_id"]: loaded.annToMask(a).tolist() for a in loaded.loadAnns(loaded.getAnnIds(imgIds=[42]))}
    assert masks == {2: [[0, 0, 1], [1, 1, 0]], 1: [[0, 1, 0], [0, 0, 1]]}


def test_a_picture_of_background_alone_has_no_entry() -> None:
    (read,) = task().postprocess({"out": torch.eye(21)[0][None, :, None, None]}, [(4, 4)])
    assert task().as_format("coco", read, 1) == []


# the picture of a result


def count(pixels: Any, colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(-1).sum())


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [
        ((640, 480), 640, 480),
        ((800, 300), 800, 300),
        ((320, 200), 640, 400),  # small pictures are enlarged
        ((1, 1), 640, 640),
        ((3, 4000), 640, 4000),  # but not tall ones
        ((4000, 1), 4000, 1),
    ],
)
def test_the_sheet_is_the_picture_over_a_legend(size: tuple[int, int], width: int, height: int) -> None:
    sheet = draw_mask(Image.new("RGB", size), torch.ones(size[1], size[0], dtype=torch.uint8), [(1, "aeroplane", 1.0)])
    assert (sheet.mode, sheet.width) == ("RGB", width)
    assert height < sheet.height <= height + 100
    assert count(numpy.array(sheet)[height:], COLOURS[1]) > 200


def test_a_narrow_picture_stands_in_the_middle() -> None:
    sheet = draw_mask(Image.new("RGB", (10, 1000)), torch.zeros(1000, 10, dtype=torch.uint8), [(0, "nothing", 1.0)])
    row = (numpy.array(sheet)[500] == 0).all(-1)
    assert row.nonzero()[0].tolist() == list(range(315, 325))


@pytest.mark.parametrize("length", [1, 60, 3000])
@pytest.mark.parametrize(("size", "height"), [((640, 480), 480), ((1, 1), 640), ((5, 900), 900), ((1500, 40), 40)])
def test_every_class_has_its_swatch_and_free_margins(size: tuple[int, int], height: int, length: int) -> None:
    mask = (torch.arange(size[0] * size[1]) % 21).reshape(size[1], size[0]).to(torch.uint8)
    classes = [(index, "W" * length, 1 / 21) for index in range(21)]
    legend = numpy.array(draw_mask(Image.new("RGB", size, "white"), mask, classes))[height:]
    paper = legend[0, 0]
    for index in range(1, 21):
        assert count(legend, class_colour(index)) >= 200, index
    for edge in (legend[:, :4], legend[:, -4:], legend[:4], legend[-4:]):
        assert (edge == paper).all()


def test_a_name_of_any_length_is_shortened_at_once() -> None:
    classes = [(index, "W" * 3000, 1 / 21) for index in range(21)]
    start = time.process_time()
    draw_mask(Image.new("RGB", (640, 40)), torch.zeros(40, 640, dtype=torch.uint8), classes)
    assert time.process_time() - start < 10  # one letter less at a time, each measured anew, takes minutes


@pytest.mark.parametrize("index", COLOURS)
def test_colours_are_pascal_vocs(index: int) -> None:
    assert class_colour(index) == COLOURS[index]


def reopened(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Image.open(stream)


def test_all_ids_of_a_byte_survive_a_png_and_show_vocs_colours() -> None:
    ids = torch.arange(256, dtype=torch.uint8).reshape(8, 32)
    again = reopened(id_picture(ids))
    assert numpy.array_equal(numpy.array(again), ids.numpy())
    shown = numpy.array(again.convert("RGB"))
    assert {index: tuple(shown[index // 32, index % 32].tolist()) for index in COLOURS} == COLOURS


def test_ids_beyond_a_byte_survive_a_png() -> None:
    ids = torch.tensor([[0, 255, 256], [299, 40_000, 65_535]], dtype=torch.int32)
    assert numpy.array(reopened(id_picture(ids))).tolist() == ids.tolist()


def test_an_id_that_no_png_holds_is_refused_in_plain_words() -> None:
    with pytest.raises(RegistryError) as caught:
        id_picture(torch.tensor([[1, 65_536]], dtype=torch.int32))
    assert str(caught.value) == "the class id 65536 does not fit a PNG, whose values end at 65535"
