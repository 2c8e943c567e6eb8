"""The article's suite against the article's figures, and what a suite's file may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from registry_benchmark import suite_tables
from registry_benchmark.suite import Part, names, parsed, read
from registry_benchmark.suite_runs import Measured

import registry
from registry.errors import RegistryError, UnknownNameError

#: The blog post's tables: accuracy in percent, seconds on its CPU, millions of parameters.
CLASSIFICATION = {
    "large": (74.042, 91.340, 0.0411, 5.48),
    "small": (67.668, 87.402, 0.0165, 2.54),
    "quantized": (73.004, 90.858, 0.0162, 2.96),
    "mobilenet_v2": (71.880, 90.290, 0.0608, 3.50),
    "resnet50": (76.150, 92.870, 0.2545, 25.56),
    "resnet18": (69.760, 89.080, 0.1032, 11.69),
}
DETECTION = {
    "frcnn_large": (32.8, 0.8409, 19.39),
    "frcnn_large_320": (22.8, 0.1679, 19.39),
    "frcnn_resnet50": (37.0, 4.1514, 41.76),
    "retinanet_resnet50": (36.4, 4.8825, 34.01),
}
PROPOSALS = {"rpn_before": (23.0, 0.2904), "rpn_after": (22.8, 0.1679)}
SEGMENTATION = {
    "lraspp": (57.9, 91.2, 0.3278, 3.22),
    "deeplabv3": (60.3, 91.2, 0.5869, 11.03),
    "fcn": (57.8, 90.9, 0.3702, 5.05),
    "deeplabv3_resnet50": (66.4, 92.4, 6.3531, 39.64),
    "fcn_resnet50": (60.5, 91.4, 5.0146, 32.96),
}
SMALL_IMAGES = {
    "lraspp_520": (57.9, 91.2, 0.3278),
    "lraspp_320": (55.8, 90.3, 0.1139),
    "deeplabv3_520": (60.3, 91.2, 0.5869),
    "deeplabv3_320": (56.5, 90.3, 0.2121),
    "fcn_520": (57.8, 90.9, 0.3702),
    "fcn_320": (54.8, 90.1, 0.1571),
}
QUANTIZATION = {"float": (74.042, 91.340), "qat": (73.004, 90.858), "ptq": (71.160, 89.834)}
STEPS = [
    (71.542, 90.068),
    (70.684, 89.38),
    (71.764, 90.178),
    (73.86, 91.292),
    (74.028, 91.382),
    (75.536, 92.368),
]
TABLES: dict[str, tuple[dict[str, tuple[float, ...]], tuple[str, ...]]] = {
    "classification": (CLASSIFICATION, ("acc@1", "acc@5", "seconds", "parameters")),
    "detection": (DETECTION, ("box_map", "seconds", "parameters")),
    "proposals": (PROPOSALS, ("box_map", "seconds")),
    "segmentation": (SEGMENTATION, ("miou", "pixel_acc", "seconds", "parameters")),
    "small-images": (SMALL_IMAGES, ("miou", "pixel_acc", "seconds")),
    "quantization": (QUANTIZATION, ("acc@1", "acc@5")),
}
SUITE = read("mobilenetv3")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_the_articles_figures(name: str) -> None:
    figures, columns = TABLES[name]
    (table,) = (table for table in SUITE.tables if table.name == name)
    published = {row.id: row.published for row in table.rows}
    assert set(published) == set(figures)
    for row, values in figures.items():
        found = dict(published[row])
        if "parameters" in found:
            found["parameters"] /= 1e6
        assert found == pytest.approx(dict(zip(columns, values, strict=True))), row


def test_the_steps_of_the_training_are_the_articles() -> None:
    (table,) = (table for table in SUITE.tables if table.name == "training")
    assert [(row.published["acc@1"], row.published["acc@5"]) for row in table.rows] == STEPS
    assert all(row.model is None for row in table.rows)


def test_the_tables_are_those_of_the_article() -> None:
    assert names() == ["mobilenetv3"]
    assert {table.name for table in SUITE.tables} == {*TABLES, "training"}


def test_every_model_of_the_suite_is_in_the_catalog_and_every_weight_in_its_document() -> None:
    for row in SUITE.every_row():
        if row.model is not None and not row.model.startswith("torchvision:"):
            spec = registry.load_spec(row.model, overrides=row.overrides)
            assert row.weights is None or row.weights in spec.weights, row.id


def test_the_proposals_differ_as_the_article_says() -> None:
    budgets = {}
    for row in SUITE.every_row():
        if row.id.startswith("rpn_"):
            assert row.model is not None
            head: Any = registry.load_spec(row.model, overrides=row.overrides).head
            budgets[row.id] = (head.rpn.pre_nms_top_n_test, head.rpn.post_nms_top_n_test, head.image.min_size)
    assert budgets == {"rpn_before": (1000, 1000, 320), "rpn_after": (150, 150, 320)}


def times(**seconds: float) -> Measured:
    """What a run of the suite would have measured, with these medians."""
    rows: dict[str, Any] = {}
    for name, value in seconds.items():
        spread = {"median": value, "low": value, "high": value, "least": value, "most": value}
        rows[name] = {
            "label": name,
            "seconds": spread,
            "ratio": {"value": 1.0, "low": 1.0, "high": 1.0},
            "accuracy": None,
            "parameters": 5_480_000,
            "macs": None,
            "bytes": 22_000_000,
            "memory": 200_000_000,
            "memory_of_model": 50_000_000,
            "memory_device": None,
            "proposals": None,
            "disturbed": 0,
        }
    machine = {"processor": "a processor", "instructions": [], "cores_there": 2, "cores": [0], "threads": 1}
    return Measured(SUITE, rows, {}, machine, 10, 3)


def parts() -> dict[str, Part]:
    return {part.rows[1]: part for headline in SUITE.headlines for part in headline.parts}


def test_six_headlines_promise_what_the_article_does() -> None:
    assert [[part.promised for part in headline.parts] for headline in SUITE.headlines] == [
        [2.5],
        [1.8],
        [6.0],
        [5.0, 8.5],
        [0.45],
        [0.6, 0.6, 0.6],
    ]


def test_the_articles_own_times_give_about_what_it_promises() -> None:
    seconds = {row.id: row.published["seconds"] for row in SUITE.every_row() if "seconds" in row.published}
    found = times(**seconds)
    value = {name: found.value(part) for name, part in parts().items()}
    assert value["quantized"] == pytest.approx(2.54, abs=0.01)
    assert value["large"] == pytest.approx(6.19, abs=0.01)
    assert value["frcnn_large"] == pytest.approx(4.94, abs=0.01)
    assert value["deeplabv3"] == pytest.approx(8.54, abs=0.01)
    assert value["rpn_after"] == pytest.approx(0.422, abs=0.001)
    assert [value[name] for name in ("lraspp_320", "deeplabv3_320", "fcn_320")] == pytest.approx(
        [0.6526, 0.6386, 0.5757], abs=2e-4
    )
    assert value["ptq"] is None  # no accuracy was measured


def test_points_are_of_percent() -> None:
    found = times(qat=1.0, ptq=1.0)
    for name, share in (("qat", 0.73004), ("ptq", 0.71160)):
        found.rows[name]["accuracy"] = {"figures": {"top1": share, "top5": 0.9}}
    assert found.value(parts()["ptq"]) == pytest.approx(73.004 - 71.160)


def test_the_text_shows_promised_and_measured_beside_each_other() -> None:
    found = times(large=0.020, resnet50=0.100, quantized=0.010)
    text = suite_tables.as_text(found)
    (line,) = (line for line in text.splitlines() if "ResNet-50 by Large" in line)
    assert line.split()[-2:] == ["6.00x", "5.00x"]
    (line,) = (line for line in text.splitlines() if "QAT less PTQ" in line)
    assert line.endswith("+1.8 points  needs files with --use, and --data")
    (line,) = (line for line in text.splitlines() if line.startswith("Quantized MobileNetV3-Large  "))
    assert line.split()[2:7] == ["73.004", "90.858", "0.0162", "10", "15.71x"]  # 0.2545 / 0.0162
    assert suite_tables.as_data(found)["headlines"][2]["parts"] == [
        {"label": "ResNet-50 by Large", "kind": "speedup", "promised": 6.0, "measured": pytest.approx(5.0)}
    ]
    table = suite_tables.as_markdown(found)
    assert (
        "| 3 | MobileNetV3-Large is about 6 times as fast as ResNet-50 | ResNet-50 by Large | 6.00x | 5.00x |" in table
    )


def test_a_chart_has_a_panel_for_each_table_with_two_times() -> None:
    found = times(large=0.020, resnet50=0.100, rpn_after=1.0)
    (panel,) = suite_tables.panels(found)
    assert {(point.label, point.height, point.measured) for point in panel.points} == {
        ("MobileNetV3-Large", 74.042, False),
        ("ResNet-50", 76.15, False),
    }


def test_a_table_alone_keeps_the_headlines_that_it_can_answer() -> None:
    chosen = SUITE.chosen(["detection"])
    assert [table.name for table in chosen.tables] == ["detection"]
    assert [[part.label for part in headline.parts] for headline in chosen.headlines] == [["Faster R-CNN"]]
    with pytest.raises(UnknownNameError) as caught:
        SUITE.chosen(["detections"])
    assert str(caught.value) == "the suite `mobilenetv3` has no table `detections`; did you mean `detection`?"


def test_what_a_row_runs_instead() -> None:
    assert SUITE.replaced(["quantized=a=b.onnx", "ptq=c.onnx"]) == {"quantized": "a=b.onnx", "ptq": "c.onnx"}
    with pytest.raises(RegistryError, match=r"^--use quantized: write ROW=FILE, such as large=model\.onnx$"):
        SUITE.replaced(["quantized"])
    with pytest.raises(UnknownNameError, match="did you mean `quantized`"):
        SUITE.replaced(["quantised=a.onnx"])


GOOD = """
name: mine
summary: two models
source: {title: a page, url: "https://example.org"}
tables:
  - name: one
    title: One
    metrics: [top1]
    rows:
      - {id: a, label: A, model: resnet18, published: {top1: 50}}
      - {id: b, label: B, model: resnet50}
headlines:
  - claim: a is faster
    parts: [{label: b by a, kind: speedup, slow: b, fast: a, promised: 2}]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: b", "id: a", "mine.yaml: the suite: two rows have the id `a`"),
        ("slow: b", "slow: c", "mine.yaml: the suite: a headline names the row `c`, which no table has"),
        ("slow: b, ", "", "mine.yaml: headlines.0.parts.0: a part of the kind `speedup` needs `slow`"),
        ("title: One", "titel: One", "mine.yaml: tables.0.title: Field required"),
        ("promised: 2", "promised: two", "mine.yaml: headlines.0.parts.0.promised: Input should be a valid number"),
        (
            "name: one",
            "name: one\n    baseline: c",
            "mine.yaml: the suite: the baseline `c` is no row of the table `one`",
        ),
    ],
)
def test_a_mistake_in_a_suite_is_told_with_its_place(old: str, new: str, told: str) -> None:
    assert parsed(GOOD, "mine.yaml").name == "mine"
    assert old in GOOD
    with pytest.raises(RegistryError) as caught:
        parsed(GOOD.replace(old, new), "mine.yaml")
    assert str(caught.value).startswith(told)


def test_what_is_no_suite_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("tables: [", encoding="utf-8")
    with pytest.raises(RegistryError, match="is no YAML"):
        read(str(tmp_path / "mine.yaml"))
    with pytest.raises(RegistryError, match=r"there is no file .*other\.yaml"):
        read(str(tmp_path / "other.yaml"))
    with pytest.raises(UnknownNameError) as caught:
        read("mobilenet_v3")
    assert str(caught.value) == "there is no suite `mobilenet_v3`; did you mean `mobilenetv3`?"
