"""`registry build` of models that resize images themselves: the size that is printed is the one that was computed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

import registry
from registry.cli.group import cli

pytest.importorskip("torch")
pytest.importorskip("torchvision")
SMALL = ["--set", "backbone.width_mult=0.35"]
RCNN, SSD = "fasterrcnn_mnv3_small_320_fpn", "ssdlite320_mnv3_large"


def build(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["build", *arguments])


@pytest.mark.parametrize(
    ("name", "size", "hint"),
    [
        # the longest side keeps its proportion to the shortest: 640 / 320 * 3
        (RCNN, "3", "--set head.image.min_size=3 --set head.image.max_size=6"),
        (SSD, "64", "--set 'head.image.size=[64, 64]'"),
    ],
)
def test_a_size_that_the_head_would_undo_is_refused(name: str, size: str, hint: str) -> None:
    done = build(name, "--size", size, "--weights", "gone.pth")  # nothing is read before
    assert done.exit_code == 2
    assert done.output.splitlines()[-1] == (
        f"Error: Invalid value for --size: the head resizes images to 320x320 itself, so {size}x{size} would not be "
        f"measured; write {hint}"
    )


@pytest.mark.parametrize(
    ("name", "settings", "size"),
    [
        (RCNN, ["head.image.min_size=96", "head.image.max_size=192"], [96, 96]),
        (SSD, ["head.image.size=[64, 96]"], [64, 96]),
        (SSD, [], [320, 320]),
    ],
)
def test_maps_are_those_of_the_size_at_which_the_network_runs(name: str, settings: list[str], size: list[int]) -> None:
    done = build(name, *SMALL, "--format", "json", *(word for setting in settings for word in ("--set", setting)))
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["image_size"] == size
    strides = {m.name: m.stride for m in registry.load_spec(name).backbone.feature_maps()}
    assert [[m["height"], m["width"]] for m in report["features"]] == [
        [-(-side // strides[m["name"]]) for side in size] for m in report["features"]
    ]


def test_the_heads_own_size_may_be_written_out() -> None:
    assert build(SSD, *SMALL, "--size", "320", "--device", "meta").exit_code == 0


@pytest.mark.parametrize(("name", "told"), [(SSD, True), ("mobilenet_v3_small", False)])
def test_multiply_adds_that_depend_on_the_image_are_remarked(name: str, told: bool) -> None:
    (line,) = (x for x in build(name, *SMALL).output.splitlines() if "multiply-adds" in x)
    remark = " (they can depend on what the image shows; published figures may differ)"
    assert line.endswith(remark) is told
    assert line.removesuffix(remark).endswith("at 320x320" if told else "at 224x224")
