"""From maps to boxes, against boxes written by hand."""

from __future__ import annotations

import math

import pytest
import torch

from registry_centernet.decode import decode, peaks
from registry_centernet.targets import encode

Maps = dict[str, torch.Tensor]


def _empty(classes: int, height: int, width: int, images: int = 1) -> Maps:
    shapes = {"heatmap": classes, "size": 2, "offset": 2}
    maps = {name: torch.zeros(images, count, height, width) for name, count in shapes.items()}
    maps["heatmap"] -= 20
    return maps


def _set(maps: Maps, label: int, row: int, column: int, score: float, size: list[float], offset: list[float]) -> None:
    maps["heatmap"][0, label - 1, row, column] = math.log(score / (1 - score))
    maps["size"][0, :, row, column] = torch.tensor(size)
    maps["offset"][0, :, row, column] = torch.tensor(offset)


def test_two_points_give_two_boxes() -> None:
    """At stride 4 a centre at column 5.5, row 2.25 is at 22, 9 pixels; a size of 4 x 2 steps is 16 x 8 pixels."""
    maps = _empty(3, 16, 20)
    _set(maps, 3, 2, 5, 0.9, [4.0, 2.0], [0.5, 0.25])
    _set(maps, 1, 10, 12, 0.6, [2.0, 6.0], [0.0, 0.5])
    found = decode(maps, [(64, 80)], stride=4, top=10, score_threshold=0.5)[0]
    torch.testing.assert_close(found["boxes"], torch.tensor([[14.0, 5.0, 30.0, 13.0], [44.0, 30.0, 52.0, 54.0]]))
    assert found["labels"].tolist() == [3, 1]
    assert found["scores"].tolist() == pytest.approx([0.9, 0.6])


def test_a_neighbour_that_scores_less_is_no_peak() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 1.5, 0.2], [3.0, 0.1, 0.0]])
    kept = torch.full((3, 3), -math.inf)
    kept[0, 1], kept[2, 0] = 2.0, 3.0
    assert torch.equal(peaks(logits[None, None])[0, 0], kept)


def test_best_of_all_classes_up_to_top() -> None:
    maps = _empty(2, 8, 8)
    for index, score in enumerate((0.5, 0.7, 0.6)):
        _set(maps, 1 + index % 2, 1 + 3 * (index // 2), 1 + 3 * (index % 2), score, [2.0, 2.0], [0.0, 0.0])
    found = decode(maps, [(64, 64)], stride=8, top=2, score_threshold=0.0)[0]
    assert found["scores"].tolist() == pytest.approx([0.7, 0.6])
    assert found["labels"].tolist() == [2, 1]


def test_boxes_end_at_the_image_and_padding_holds_none() -> None:
    """The image of 30x20 pixels in a batch of 32x32: 20 / 4 = 5 rows are its own, what lies below is padding."""
    maps = _empty(1, 8, 8)
    _set(maps, 1, 4, 7, 0.8, [4.0, 4.0], [0.0, 0.0])
    _set(maps, 1, 6, 1, 0.9, [2.0, 2.0], [0.0, 0.0])
    found = decode(maps, [(20, 30)], stride=4, top=10, score_threshold=0.5)[0]
    assert found["boxes"].tolist() == [[20, 8, 30, 20]]  # centre 28, 16 and half a side of 8, cut off


def test_a_row_that_the_image_only_begins_is_its_own() -> None:
    """22 / 4 = 5.5, so that the sixth row, of index 5, holds two pixels of the image."""
    maps = _empty(1, 8, 8)
    _set(maps, 1, 5, 2, 0.8, [2.0, 2.0], [0.0, 0.0])
    found = decode(maps, [(22, 30)], stride=4, top=10, score_threshold=0.5)[0]
    assert found["boxes"].tolist() == [[4, 16, 12, 22]]  # centre 8, 20 and half a side of 4, cut off at 22


def test_padding_hides_no_peak_of_the_image() -> None:
    """Rows 0 to 4 are the image's; the greater value in row 5, beside the peak in row 4, is padding."""
    maps = _empty(1, 8, 8)
    _set(maps, 1, 4, 3, 0.8, [2.0, 2.0], [0.0, 0.0])
    _set(maps, 1, 5, 3, 0.9, [2.0, 2.0], [0.0, 0.0])
    found = decode(maps, [(20, 30)], stride=4, top=10, score_threshold=0.5)[0]
    assert found["scores"].tolist() == pytest.approx([0.8])


def test_what_is_no_peak_is_not_found_at_a_threshold_of_0() -> None:
    """Of two neighbours the lesser is none; a map of two points has at most two boxes, however many are asked for."""
    maps = _empty(1, 1, 2)
    _set(maps, 1, 0, 0, 0.8, [2.0, 2.0], [0.5, 0.5])
    _set(maps, 1, 0, 1, 0.6, [2.0, 2.0], [0.5, 0.5])
    found = decode(maps, [(4, 8)], stride=4, top=100, score_threshold=0.0)[0]
    assert found["boxes"].tolist() == [[0, 0, 6, 4]]  # centre 2, 2 and half a side of 4, cut off
    assert found["scores"].tolist() == pytest.approx([0.8])


def test_the_threshold_itself_is_enough() -> None:
    maps = _empty(1, 4, 4)
    _set(maps, 1, 1, 1, 0.5, [2.0, 2.0], [0.0, 0.0])  # a logit of 0, whose score is exactly 0.5
    assert len(decode(maps, [(16, 16)], stride=4, top=1, score_threshold=0.5)[0]["boxes"]) == 1


def test_maps_of_half_precision_give_boxes_of_full_precision() -> None:
    """A centre at column 301.5 of stride 4 is at 1206 pixels, which half precision rounds to a multiple of 1 or worse."""
    maps = {name: values.half() for name, values in _empty(1, 2, 400).items()}
    maps["heatmap"][0, 0, 0, 301] = 4
    maps["size"][0, :, 0, 301], maps["offset"][0, :, 0, 301] = 0.125, 0.5
    found = decode(maps, [(8, 1600)], stride=4, top=1, score_threshold=0.5)[0]
    assert found["boxes"].dtype == torch.float32
    assert found["boxes"].tolist() == [[1205.75, 1.75, 1206.25, 2.25]]  # a side of 4 * 0.125 = 0.5 pixels


def test_a_box_of_no_area_is_left_out() -> None:
    maps = _empty(1, 8, 8)
    _set(maps, 1, 4, 4, 0.8, [-1.0, 2.0], [0.0, 0.0])
    found = decode(maps, [(32, 32)], stride=4, top=1, score_threshold=0.5)[0]
    assert found["boxes"].shape == (0, 4)
    assert found["labels"].dtype == torch.int64


@pytest.mark.parametrize("stride", [4, 8])
def test_decoding_encoded_targets_gives_them_back(stride: int) -> None:
    sizes = [(128, 160), (96, 128)]
    boxes = [
        torch.tensor([[3.0, 7.5, 51.0, 44.25], [80.0, 60.0, 97.5, 120.0], [100.0, 10.0, 155.0, 40.0]]),
        torch.tensor([[20.0, 11.0, 90.0, 88.0]]),
    ]
    labels = [torch.tensor([2, 1, 3]), torch.tensor([3])]
    targets = [{"boxes": b, "labels": n} for b, n in zip(boxes, labels, strict=True)]
    encoded = encode(targets, classes=3, size=(128 // stride, 160 // stride), stride=stride, min_overlap=0.3)
    maps = _empty(3, 128 // stride, 160 // stride, images=2)
    maps["heatmap"] = encoded.heatmap.clamp(1e-6, 1 - 1e-6).logit()
    maps["size"][encoded.image, :, encoded.row, encoded.column] = encoded.size
    maps["offset"][encoded.image, :, encoded.row, encoded.column] = encoded.offset
    for found, box, label in zip(
        decode(maps, sizes, stride=stride, top=100, score_threshold=0.99), boxes, labels, strict=True
    ):
        order = found["boxes"][:, 0].argsort()
        torch.testing.assert_close(found["boxes"][order], box)
        assert torch.equal(found["labels"][order], label)
