"""`registry benchmark` as a command: real runs of small models, the formats, the chart, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from registry_benchmark.asked import Asked
from registry_benchmark.command import benchmark
from registry_benchmark.plotting import Panel, draw, panel_of
from registry_benchmark.report import Report
from registry_benchmark.subjects import Subject, labelled, size_of, subject_of, weights_for
from registry_benchmark.tables import as_markdown, as_text
from registry_benchmark.turns import Timed

import registry
from registry.cli.group import cli
from registry.errors import RegistryError, UnknownNameError

DIGITS = "mobilenet_v3_digits_48"


def call(*words: object) -> Result:
    return CliRunner().invoke(benchmark, [str(word) for word in words])


def error_of(*words: object) -> str:
    done = call(*words)
    assert isinstance(done.exception, RegistryError), done.output
    return str(done.exception)


def timed(label: str, *seconds: float, **told: Any) -> Timed:
    known = {"engine": "torch", "task": "classification", "image": [48, 48], "batch": 1, "notes": []}
    counted = {"parameters": 72_000, "macs": 3_000_000, "bytes": 300_000, "memory": 2 * 10**8, "memory_before": 10**8}
    subject = Subject(label, label, kind="torchvision")
    return Timed(subject, list(seconds), list(seconds), {**known, **counted, **told})


MACHINE = {"processor": "a processor", "instructions": ["avx2"], "cores_there": 2, "cores": [1], "threads": 1}


@pytest.fixture
def report() -> Report:
    found = [timed("slow", 0.004, 0.006, 0.005), timed("fast", 0.002, 0.002, 0.002, published={"acc@1": 70.5})]
    peak = Timed(Subject("peak", "peak", kind="peak"), [0.5, 0.25], [0.5, 0.25], {"macs": 10**9, "engine": "torch"})
    return Report.of([*found, peak], "slow", MACHINE, runs=3, warmup=1)


def test_a_report_holds_ratios_and_the_share_of_the_peak(report: Report) -> None:
    slow, fast = report.rows
    assert (slow["seconds"]["median"], slow["ratio"]["value"], fast["ratio"]["value"]) == (0.005, 1.0, 2.5)
    assert report.peak == 4e9  # the faster of the two products
    assert fast["of_peak"] == pytest.approx(0.002 / (3e6 / 4e9))
    assert fast["images_per_second"] == pytest.approx(500)
    assert fast["memory_of_model"] == 10**8


def test_the_formats_show_the_same(report: Report) -> None:
    text, markdown = as_text(report), as_markdown(report)
    (line,) = (line for line in text.splitlines() if line.startswith("fast "))
    cells = ["fast", "torch", "2", "2-2", "2.50x", "2.25-2.75", "72.0 k", "3.00 M", "0.3", "200 (+100)", "2.67x"]
    assert line.split("  ")[0] == "fast"
    assert [cell.strip() for cell in line.split("  ") if cell.strip()] == [*cells, "(acc@1 70.5)"]
    assert f"| {' | '.join([*cells, '(acc@1 70.5)'])} |" in markdown.splitlines()
    for shown in (text, markdown):
        assert "a processor (avx2), 2 cores; 1 thread, pinned to core 1" in shown
        assert "3 runs of each in turn, after 1 that do not count; ratios against slow" in shown
        assert "peak of the cores: 4.0 billion multiply-adds a second" in shown
        assert "accuracy in brackets is published, not measured" in shown
        assert "random weights, whose speed alone means something: slow, fast" in shown


def test_the_proposals_of_a_detector_are_told() -> None:
    found = [timed("mine", 0.1, task="detection", proposals=150.0, detections=3.0)]
    text = as_text(Report.of(found, "mine", MACHINE, runs=1, warmup=1))
    assert "mine: 150 proposals and 3 detections an image, which decide a part of its time" in text


def test_the_scheme_of_a_quantized_file_stands_beside_its_engine() -> None:
    found = [timed("mine", 0.1, engine="OpenVINO 1", quantization={"type": "x86"})]
    assert "| mine | OpenVINO 1, x86 | 100 |" in as_markdown(Report.of(found, "mine", MACHINE, runs=1, warmup=1))


def test_disturbed_runs_are_told() -> None:
    found = timed("mine", 0.1)
    found.disturbed = 1
    text = as_text(Report.of([found], "mine", MACHINE, runs=1, warmup=1))
    assert "runs that other programs disturbed, repeated in vain: mine (1); measure on a quiet machine" in text


def test_a_chart_shows_accuracy_where_all_have_it_and_else_multiply_adds(report: Report) -> None:
    panel = panel_of(report.rows)
    assert panel.quantity == "multiply-adds, millions"
    assert [(point.label, point.seconds, point.height) for point in panel.points] == [
        ("slow", 0.005, 3.0),
        ("fast", 0.002, 3.0),
    ]
    assert (panel.points[0].low, panel.points[0].high) == pytest.approx((0.0045, 0.0055))
    both = [{**row, "published": {"acc@1": 60.0}} for row in report.rows]
    panel = panel_of(both)
    assert panel.quantity == "published acc@1"
    assert [(point.height, point.measured) for point in panel.points] == [(60.0, False), (60.0, False)]


def test_a_chart_is_a_picture(report: Report, tmp_path: Path) -> None:
    draw([panel_of(report.rows, "one"), panel_of(report.rows, "two"), panel_of(report.rows)], tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert len(picture.convert("L").getcolors(256) or []) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["chart.png"]
    with pytest.raises(RegistryError, match="nothing to draw"):
        draw([Panel("", "", ())], tmp_path / "none.png")


def test_two_models_are_timed_in_processes_of_their_own(checkpoint: Path) -> None:
    done = call(checkpoint, f"{checkpoint}+channels-last", "--runs", 2, "--warmup", 1, "--format", "json")
    assert done.exception is None, done.output
    told = json.loads(done.output)
    first, second = told["subjects"]
    assert (first["options"], second["options"]) == ([], ["channels-last"])
    assert first["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert second["ratio"]["value"] == pytest.approx(first["seconds"]["median"] / second["seconds"]["median"])
    assert [len(each["runs"]) for each in (first, second)] == [2, 2]
    assert first["bytes"] == second["bytes"] == checkpoint.stat().st_size
    assert (first["image"], first["batch"], first["macs"]) == ([48, 48], 1, second["macs"])
    assert told["machine"]["threads"] == 1


@pytest.mark.slow
def test_a_model_and_its_file_are_timed_against_each_other(program: Path, checkpoint: Path, tmp_path: Path) -> None:
    out, chart = tmp_path / "report.json", tmp_path / "chart.png"
    words = ["--runs", 3, "--warmup", 1, "--format", "json", "--output", out, "--plot", chart]
    done = call(program, "--baseline", checkpoint, *words)
    assert done.exception is None, done.output
    assert done.output == ""
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["baseline"] == str(checkpoint)
    first, second = told["subjects"]
    assert (first["label"], first["weights"], first["ratio"]["value"]) == (str(checkpoint), "the checkpoint's", 1.0)
    assert (second["label"], second["weights"]) == ("digits.pt2", "the file's")
    assert second["engine"].startswith("torch.export ")
    assert second["ratio"]["value"] == pytest.approx(first["seconds"]["median"] / second["seconds"]["median"])
    assert [len(each["runs"]) for each in (first, second)] == [3, 3]
    assert first["parameters"] == second["parameters"]
    assert first["macs"] == second["macs"]
    assert (first["bytes"], second["bytes"]) == (checkpoint.stat().st_size, program.stat().st_size)
    assert told["machine"]["threads"] == 1
    with Image.open(chart) as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_accuracy_is_that_of_evaluate(checkpoint: Path, program: Path, tmp_path: Path, small: Any) -> None:
    """Each class holds the pictures that the model takes for it, and one that it does not."""
    folder, task = tmp_path / "data", registry.default_registry().task(small.spec)
    names = [str(name) for name in small.spec.task.categories or range(small.spec.head.num_classes)]
    for name in names:
        for split in ("train", "val"):
            (folder / split / name).mkdir(parents=True)
    answers = []
    for index in range(8):
        picture = Image.effect_noise((48, 48), 20 + 25 * index).convert("RGB")
        answers.append(int(small(task.collate([task.preprocess(picture)])).argmax()))
        place = answers[-1] if index % 4 else (answers[-1] + 1) % len(names)
        picture.save(folder / "val" / names[place] / f"{index}.png")
        picture.save(folder / "train" / names[place] / f"{index}.png")
    done = call(checkpoint, program, "--runs", 1, "--data", f"classification={folder}/", "--format", "json")
    assert done.exception is None, done.output
    found = [row["accuracy"] for row in json.loads(done.output)["subjects"]]
    assert [(each["pictures"], each["metric"]) for each in found] == [(8, "top1")] * 2
    for reference, each in zip((checkpoint, program), found, strict=True):
        words = ["evaluate", str(reference), "--data", f"{folder}/", "--format", "json"]
        told = CliRunner().invoke(cli, words)
        assert told.exception is None, told.output
        assert each["value"] == pytest.approx(json.loads(told.stdout)["figures"]["top1"])
        assert each["value"] == pytest.approx(6 / 8)  # every fourth lies in another class


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: a mistake is told before."""

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was measured")

    monkeypatch.setattr(Asked, "timed", fail)


@pytest.mark.usefixtures("unmeasured")
def test_outputs_replace_nothing_that_is_read(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("m.onnx", "w.safetensors", "suite.yaml", "data.yaml", "chart.png"):
        (tmp_path / name).write_text("mine")
    mine = {name: str(tmp_path / name) for name in ("m.onnx", "w.safetensors", "suite.yaml", "data.yaml", "chart.png")}
    (tmp_path / "link.json").symlink_to(tmp_path / "m.onnx")
    small = ("mobilenet_v3_small", "--random-weights")
    for words in (
        (mine["m.onnx"], "-o", mine["m.onnx"]),
        (mine["m.onnx"], "-o", tmp_path / "link.json"),
        (*small, "--baseline", mine["m.onnx"], "-o", mine["m.onnx"]),
        ("mobilenet_v3_small", "--weights", mine["w.safetensors"], "-o", mine["w.safetensors"]),
        (
            "mobilenet_v3_small+compile",
            "--weights",
            f"mobilenet_v3_small={mine['w.safetensors']}",
            "-o",
            mine["w.safetensors"],
        ),
        (*small, "--data", f"classification={mine['data.yaml']}", "-o", mine["data.yaml"]),
        ("--suite", mine["suite.yaml"], "-o", mine["suite.yaml"]),
        ("--suite", "mobilenetv3", "--use", f"quantized={mine['m.onnx']}", "-o", mine["m.onnx"]),
        (*small, "--plot", mine["chart.png"], "-o", mine["chart.png"]),
    ):
        done = call(*words)
        assert done.exit_code == 2, (words, done.output, done.exception)
        assert "would be replaced" in done.output or "name the same file" in done.output
    assert {(tmp_path / name).read_text() for name in mine} == {"mine"}


@pytest.mark.usefixtures("unmeasured")
def test_places_that_cannot_be_written_are_told_first(tmp_path: Path) -> None:
    words = (DIGITS, "--random-weights")
    for name in (".", "", str(tmp_path), f"{tmp_path}/"):
        assert "is a folder; name a file in it" in error_of(*words, "-o", name)
        assert "is a folder; name a file in it" in error_of(*words, "--plot", name)
    assert "there is no folder" in error_of(*words, "-o", tmp_path / "no" / "r.json")
    if Path("/proc").is_dir():
        assert "/proc/x.json cannot be written" in error_of(*words, "-o", "/proc/x.json")
        assert "/proc/x.png cannot be written" in error_of(*words, "--plot", "/proc/x.png")


@pytest.mark.usefixtures("unmeasured")
def test_options_that_change_nothing_and_data_that_is_not_there_are_told(program: Path, tmp_path: Path) -> None:
    for words, told in {
        (program, "--set", "head.num_classes=3"): "`--set head.num_classes=3` changes nothing",
        (program, "--set", "="): "`--set =` changes nothing",
        (program, "--weights", "gone"): "`--weights gone` changes nothing",
        (program, "--set", "dataset.root=x"): "`--set dataset.root=x` changes nothing without --data",
        ("--suite", "mobilenetv3", "--table", "training", "--random-weights", "--use", f"quantized={program}"): (
            "that row is in the table `classification`"
        ),
    }.items():
        done = call(*words)
        assert (done.exit_code, told in done.output) == (2, True), (words, done.output, done.exception)
    assert "there is no ./gone.yaml" in error_of(program, "--data", "./gone.yaml")
    done = call(program, "--data", "digits_clasification")
    assert isinstance(done.exception, UnknownNameError)
    assert "digits_classification" in str(done.exception)
    (tmp_path / "deep.yaml").write_text("[" * 3000)
    assert "is nested too deeply" in error_of("--suite", tmp_path / "deep.yaml")


SUITE = f"""
name: mine
summary: two models
source: {{title: a page, url: "https://example.org"}}
runs: 2
tables:
  - name: one
    title: One
    metrics: [top1]
    image: [48, 48]
    rows:
      - {{id: a, label: A, model: {DIGITS}, published: {{top1: 50, seconds: 0.25}}}}
      - {{id: b, label: B, model: {DIGITS}, image: [96, 96], published: {{top1: 60, seconds: 0.5}}}}
      - {{id: c, label: C, published: {{top1: 70}}}}
headlines:
  - claim: a is faster
    parts: [{{label: b by a, kind: speedup, slow: b, fast: a, promised: 2}}]
"""


@pytest.mark.slow
def test_a_suite_of_ones_own_runs_with_a_file_in_place_of_a_row(tmp_path: Path, program: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SUITE, encoding="utf-8")
    done = call("--suite", tmp_path / "mine.yaml", "--use", f"c={program}", "--format", "json", "--warmup", 1)
    assert done.exception is None, done.output
    told = json.loads(done.output)
    rows = {row["id"]: row["measured"] for row in told["tables"][0]["rows"]}
    assert {name: row["image"] for name, row in rows.items()} == {"a": [48, 48], "b": [96, 96], "c": [48, 48]}
    assert rows["c"]["engine"].startswith("torch.export ")
    assert rows["b"]["macs"] > 3 * rows["a"]["macs"]
    (part,) = told["headlines"][0]["parts"]
    assert part["measured"] == pytest.approx(rows["b"]["seconds"]["median"] / rows["a"]["seconds"]["median"])
    assert told["runs"] == 2
    assert told["notes"][0].startswith("weights are random where no accuracy is measured")


def test_unknown_names_and_what_has_no_weights() -> None:
    done = call("mobilenet_v3_digit_48", "--random-weights")
    assert isinstance(done.exception, UnknownNameError)
    assert "did you mean `mobilenet_v3_digits_48`" in str(done.exception)
    assert error_of(DIGITS) == (
        f"`{DIGITS}` has no weights; give --weights, or --random-weights to measure its speed alone"
    )
    assert error_of(f"{DIGITS}+compiled", "--random-weights").startswith(
        f"`{DIGITS}+compiled`: there is no option `compiled`; did you mean `compile`"
    )
    assert error_of(DIGITS, "--random-weights", "--set", "backbone.width_mul=2").count("did you mean `width_mult`") == 1


def test_files_that_are_not_there_or_nothing_that_runs(tmp_path: Path) -> None:
    program = tmp_path / "model.pt2"
    program.write_bytes(b"none")
    assert error_of(tmp_path / "none.onnx") == f"there is no file {tmp_path / 'none.onnx'}"
    (tmp_path / "model.bin").write_bytes(b"none")
    assert "is neither a model's document, a checkpoint (.safetensors), nor a file" in error_of(tmp_path / "model.bin")
    assert error_of(f"{program}", "--device", "cuda") == f"{program} is run on the CPU; leave out --device cuda"
    assert error_of(program, "--compile") == (
        "exported files are run by their engines, not by torch's modules; leave out --compile"
    )


def test_a_broken_file_is_told_by_its_engine(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(b"PK\x03\x04 and no more")
    told = error_of(broken, "--runs", 1)
    assert told.startswith("`broken.pt2`: broken.pt2 ")
    assert "export the model again" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((DIGITS, "--plot", "chart.jpg"), "chart.jpg: a chart is written as .png"),
        ((DIGITS, "--plot", "nowhere/chart.png"), "there is no folder nowhere"),
        ((DIGITS, "--output", "nowhere/report.json"), "there is no folder nowhere"),
        ((DIGITS, "--size", "48*48"), "`48*48` is no size of an image; write 320, or 480x640"),
        ((DIGITS, "--size", "0"), "`0` is no size of an image"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_built(words: tuple[str, ...], told: str) -> None:
    assert told in error_of(*words, "--random-weights")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name a MODEL, or a --suite"),
        ((DIGITS, "--suite", "mobilenetv3"), "a suite names its own models"),
        (("--suite", "mobilenetv3", "--size", "48"), "a suite names its own models"),
        ((DIGITS, "--table", "detection"), "--table is for a --suite"),
        ((DIGITS, "--use", "a=b"), "--use is for a --suite"),
    ],
)
def test_what_is_used_wrongly(words: tuple[str, ...], told: str) -> None:
    done = call(*words)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_an_engine_that_is_not_installed_is_named(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("registry_benchmark.plotting.find_spec", lambda name: None)
    told = error_of(checkpoint, "--plot", tmp_path / "chart.png")
    assert told == "a chart needs the package `matplotlib`; install it with: pip install 'vision-registry[plot]'"


def test_data_needs_weights_and_a_task_that_there_is(checkpoint: Path) -> None:
    assert error_of(DIGITS, "--random-weights", "--data", "digits_classification") == (
        "the accuracy of random weights means nothing; leave out --data, or give --weights"
    )
    assert error_of(checkpoint, "--data", "clasification=photos/") == (
        "--data clasification=photos/: there is no task `clasification`; did you mean `classification`?"
    )
    asked = Asked(data=("common/", "detection=boxes/"), assignments=("dataset.seed=1",))
    known = [Timed(Subject("a", "a", kind="artefact"), told={"task": task}) for task in ("detection", "segmentation")]
    assert [asked.data_for(one) for one in known] == [
        ("boxes/", ["dataset.seed=1"], None),
        ("common/", ["dataset.seed=1"], None),
    ]
    assert asked.data_for(Timed(Subject("a", "a"), told={"task": "detection"})) is None


def test_sizes() -> None:
    assert size_of("320") == ((320, 320), 320)
    assert size_of("480x640") == ((480, 640), None)


def test_weights_are_for_all_models_or_for_one() -> None:
    words = ["a", "b"]
    given = ["default", "b=other.pth"]
    assert weights_for("a", words, given) == "default"
    assert weights_for("b", words, given) == "other.pth"
    assert weights_for("a", words, ["hf://owner/repo/file=1.pth"]) == "hf://owner/repo/file=1.pth"


def test_options_of_one_model_stand_behind_its_name() -> None:
    base = Subject("", "", batch=2)
    found = subject_of(registry.default_registry(), f"{DIGITS}+channels-last+bfloat16", base)
    assert (found.reference, found.channels_last, found.precision, found.compiled) == (DIGITS, True, "bfloat16", False)
    assert found.options == ("channels-last", "bfloat16")
    assert Subject.from_data(json.loads(json.dumps(found.as_data()))) == found


def test_labels_differ() -> None:
    given = [
        Subject("runs/a/model.onnx", "runs/a/model.onnx", kind="artefact"),
        Subject("runs/b/model.onnx", "runs/b/model.onnx", kind="artefact"),
        Subject("runs/b/other.onnx", "runs/b/other.onnx", kind="artefact"),
        Subject("resnet18", "resnet18"),
        Subject("resnet18", "resnet18"),
    ]
    assert [subject.label for subject in labelled(given)] == [
        "runs/a/model.onnx",
        "runs/b/model.onnx",
        "other.onnx",
        "resnet18 (1)",
        "resnet18 (2)",
    ]
