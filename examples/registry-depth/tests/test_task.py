"""Figures, examples, and what becomes of a model's answer."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

import registry

SPEC = registry.load_spec("depth_mnv3_small")


def mapped(task: Any, rows: list[list[float]]) -> Any:
    depth = torch.tensor(rows)
    return task.postprocess(depth[None, None], [tuple(depth.shape)])[0]


def test_the_figures_are_those_of_the_paper(task_of: Any) -> None:
    """Ratios 1.2, 1.5, 1.9 and 2: below 1.25, 1.25^2 = 1.5625, 1.25^3 = 1.953, and none; one pixel is unknown."""
    task = task_of()
    metric = task.metric(SPEC)
    said, true = [1.2, 2.0, 1.9, 8.0], [1.0, 3.0, 1.0, 4.0]
    metric.update([mapped(task, [said[:2]])], torch.tensor([[true[:2]]]))
    metric.update([mapped(task, [[*said[2:], 5.0]])], torch.tensor([[[*true[2:], 0.0]]]))
    found = metric.compute()
    assert list(found) == ["abs_rel", "rmse", "delta1", "delta2", "delta3"]
    assert found["abs_rel"] == pytest.approx((0.2 / 1 + 1 / 3 + 0.9 / 1 + 4 / 4) / 4, rel=1e-6)
    assert found["rmse"] == pytest.approx(math.sqrt((0.2**2 + 1 + 0.9**2 + 16) / 4), rel=1e-6)
    assert (found["delta1"], found["delta2"], found["delta3"]) == (0.25, 0.5, 0.75)
    assert (metric.headline, metric.higher_is_better) == ("abs_rel", False)


def test_depths_beyond_the_range_do_not_count_and_a_ratio_of_the_threshold_is_not_below_it(task_of: Any) -> None:
    """Of 0.05, 4 and 50 m only the second lies within the 0.1 to 10 m of the task; 5 / 4 is 1.25 to the bit."""
    task = task_of()
    metric = task.metric(SPEC)
    metric.update([mapped(task, [[5.0, 5.0, 5.0]])], torch.tensor([[[0.05, 4.0, 50.0]]]))
    assert metric.compute() == {"abs_rel": 0.25, "rmse": 1.0, "delta1": 0.0, "delta2": 1.0, "delta3": 1.0}


def test_a_metric_of_nothing_and_of_other_sizes_is_refused(task_of: Any) -> None:
    task = task_of()
    metric = task.metric(SPEC)
    metric.update([mapped(task, [[1.0, 2.0]])], torch.tensor([[[0.0, math.nan]]]))
    with pytest.raises(registry.RegistryError) as caught:
        metric.compute()
    assert str(caught.value) == "the error of no pixel; give at least one image with true depths of 0.1 to 10 m"
    with pytest.raises(registry.RegistryError) as caught:
        metric.update([mapped(task, [[1.0, 2.0]])], torch.ones(1, 2, 1))
    assert str(caught.value) == (
        "a depth and its truth differ in size, (1, 2) and (2, 1); ask for depths of the truth's size"
    )


def test_an_answer_becomes_a_map_as_large_as_each_picture(task_of: Any) -> None:
    """Without aligned corners, doubling [1, 3] gives 1, 1.5, 2.5, 3, and bilinear doubling of rows repeats them."""
    output = torch.tensor([[[[1.0, 3.0]]], [[[2.0, 2.0]]]])
    first, second = task_of().postprocess(output, [(2, 4), (3, 5)])
    assert first.depth.tolist() == [[1.0, 1.5, 2.5, 3.0]] * 2
    assert (first.least, first.median, first.most) == (1.0, 1.5, 3.0)
    assert second.depth.tolist() == [[2.0] * 5] * 3


def test_a_result_is_data_and_text(task_of: Any) -> None:
    task = task_of()
    result = mapped(task, [[0.5, 1.25, 2.00004]])
    data = {"size": [1, 3], "depth": {"min": 0.5, "median": 1.25, "max": 2.0}}
    assert json.loads(json.dumps(task.as_data(result))) == data
    assert task.as_text(result) == "   0.50 m  nearest\n   1.25 m  median\n   2.00 m  farthest"
    with pytest.raises(registry.RegistryError) as caught:
        task.as_format("coco", result, 1)
    assert str(caught.value) == "the task `depth` writes no `coco`; it writes text, json"


def test_an_example_can_be_learned_from_and_is_the_same_for_the_same_state(task_of: Any) -> None:
    task = task_of()
    images, depths = task.example(SPEC, 2, (48, 64), torch.Generator().manual_seed(3))
    again = task.example(SPEC, 2, (48, 64), torch.Generator().manual_seed(3))
    assert torch.equal(images, again[0])
    assert torch.equal(depths, again[1])
    assert (images.shape, depths.shape) == ((2, 3, 48, 64), (2, 48, 64))
    assert (depths[:, :12, :16] == 0).all()
    known = depths[depths > 0]
    assert 0.1 <= known.min() < known.max() <= 10
    loss = task.losses(registry.build("depth_mnv3_small"), images, depths, SPEC.head)["scale_invariant"]
    assert loss.isfinite()
    assert loss > 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({}, "a depth model returns one tensor (2, 1, 4, 6), and this one dict"),
        (
            torch.zeros(2, 4, 6),
            "a depth model returns float depths (2, 1, 4, 6), and this one torch.float32 (2, 4, 6)",
        ),
        (
            torch.zeros(2, 1, 4, 6).int(),
            "a depth model returns float depths (2, 1, 4, 6), and this one torch.int32 (2, 1, 4, 6)",
        ),
    ],
)
def test_an_answer_of_another_form_is_refused(task_of: Any, output: Any, message: str) -> None:
    images = torch.zeros(2, 3, 4, 6)
    task_of().check_output(torch.zeros(2, 1, 4, 6), SPEC, images)
    with pytest.raises(registry.RegistryError) as caught:
        task_of().check_output(output, SPEC, images)
    assert str(caught.value) == message


def test_a_picture_is_resized_and_normalised(task_of: Any) -> None:
    found = task_of().preprocess(Image.new("RGB", (640, 480), (255, 0, 51)))
    assert found.shape == (3, 256, 341)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert found[:, 7, 7].tolist() == pytest.approx(expected, rel=1e-5)


def test_pictures_of_other_sizes_cannot_share_a_batch(task_of: Any) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        task_of().collate([torch.zeros(3, 4, 6), torch.zeros(3, 6, 4)])
    assert str(caught.value) == "pictures of different sizes cannot share a batch; crop or pad them to one size"


def test_the_second_picture_holds_millimetres_in_16_bits(task_of: Any) -> None:
    task = task_of()
    result = mapped(task, [[0.5, 1.2344, 9.9996]])
    pictures = task.pictures(Image.new("RGB", (3, 1)), result)
    assert list(pictures) == [".png", ".depth.png"]
    assert pictures[".depth.png"].mode == "I;16"
    assert numpy.asarray(pictures[".depth.png"]).tolist() == [[500, 1234, 10000]]
