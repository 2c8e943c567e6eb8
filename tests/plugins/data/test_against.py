"""Models held against data sets."""

from __future__ import annotations

from typing import Any

import pytest
from registry_data.against import check_against
from registry_data.open import dataset_spec

import registry
from registry.registry import Registry

TEN = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]


def rules(installed: Registry, model: str, data: str, settings: dict[str, Any], **names: Any) -> list[tuple[str, str]]:
    spec = registry.load_spec(model, overrides=settings)
    found = check_against(spec, dataset_spec(installed, data), model_names=installed.categories(spec.task), **names)
    return [(finding.rule, finding.severity) for finding in found]


@pytest.mark.parametrize(
    ("model", "data", "settings", "wanted"),
    [
        ("mobilenet_v3_digits", "digits_classification", {}, []),
        ("fasterrcnn_digits", "digits_detection", {}, []),
        ("mobilenet_v3_digits", "digits_detection", {}, [("REG421", "error")]),
        ("mobilenet_v3_small", "digits_classification", {}, [("REG422", "error")]),
        ("mobilenet_v3_digits", "digits_classification", {"head.num_classes": 9, "task.categories": None},
         [("REG422", "error")]),
        ("mobilenet_v3_digits", "digits_classification", {"head.num_classes": 12, "task.categories": [*TEN, "a", "b"]}, []),
        ("mobilenet_v3_digits", "digits_classification", {"task.categories": None}, []),
        ("mobilenet_v3_digits", "digits_classification", {"task.categories": TEN[::-1]}, [("REG423", "error")]),
        ("mobilenet_v3_digits", "digits_classification", {"task.categories": ["nought", *TEN[1:]]},
         [("REG423", "warning")]),
        ("lraspp_mnv3_large", "voc2012_segmentation", {}, []),
        ("lraspp_mnv3_large", "coco2017_segmentation", {}, []),
        ("lraspp_mnv3_large", "coco2017_segmentation", {"task.ignore_index": 200}, [("REG424", "error")]),
        ("fasterrcnn_mnv3_large_fpn", "coco2017_detection", {}, []),
        ("fasterrcnn_mnv3_large_fpn", "voc2012_detection", {}, [("REG422", "error")]),
    ],
)  # fmt: skip
def test_task_classes_and_ignored_pixels(
    installed: Registry, model: str, data: str, settings: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    assert rules(installed, model, data, settings) == wanted


def test_names_that_only_the_data_know_are_given(installed: Registry) -> None:
    coco = installed.categories(registry.load_spec("fasterrcnn_mnv3_large_fpn").task)
    assert coco is not None
    for names, wanted in ((coco, []), (coco[:60], []), (("__background__", "cup"), [("REG422", "error")])):
        found = rules(installed, "fasterrcnn_mnv3_large_fpn", "coco2017_detection", {}, data_names=names)
        assert found == wanted


def test_what_to_do_is_said(installed: Registry) -> None:
    spec = registry.load_spec("mobilenet_v3_small")
    (finding,) = check_against(spec, dataset_spec(installed, "digits_classification"))
    assert finding.path == ("head", "num_classes")
    assert finding.message == "the model tells 1000 classes apart, and the data set has 10: 0, 1, 2, 3 and 6 more"
    assert finding.suggestion == (
        "set head.num_classes=10, with task.categories=null or 10 names; weights keep the backbone"
    )
