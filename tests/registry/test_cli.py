"""The command line: what each verb prints, its exit code, and that no user's mistake ends in a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torchvision.models import mobilenet_v3_small
from torchvision.ops import FrozenBatchNorm2d

import registry
from registry.cli.group import cli

TORCH_FREE = (
    ["--help"],
    ["--version"],
    ["list"],
    ["list", "*small*", "--format", "json"],
    ["show", "mobilenet_v3_large"],
    ["explain", "mobilenet_v3_large_075"],
    ["explain", "mobilenet_v3_small", "--kind", "backbone", "--format", "json"],
    ["validate"],
    ["plugins"],
    ["predict", "--help"],
)


def run(*arguments: object, cwd: Path | None = None, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "registry.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)


def test_torch_free_verbs_never_import_torch() -> None:
    script = (
        "import sys, registry.cli.group as m\n"
        f"for arguments in {TORCH_FREE!r}:\n"
        "    sys.argv = ['registry', *arguments]\n"
        "    try:\n        m.main()\n"
        "    except SystemExit as done:\n        assert not done.code, (arguments, done.code)\n"
        "    heavy = {'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)\n"
        "    assert not heavy, (arguments, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_list_sorts_and_filters() -> None:
    result = run("list", "mobilenet_v3_[ls]*", "--sort", "params", "--format", "json")
    models = json.loads(result.stdout)
    assert [(m["name"], m["parameters"]) for m in models] == [
        ("mobilenet_v3_small_075", 1_653_920),
        ("mobilenet_v3_small", 2_542_856),
        ("mobilenet_v3_small_int8", 2_542_856),
        ("mobilenet_v3_large_075", 3_377_576),
        ("mobilenet_v3_large", 5_483_032),
        ("mobilenet_v3_large_int8", 5_483_032),
    ]


def test_list_shows_the_first_metric_of_the_default_weights() -> None:
    lines = run("list", "mobilenet_v3_large*", "--sort", "accuracy").stdout.decode().splitlines()
    names = ["mobilenet_v3_large", "mobilenet_v3_large_075", "mobilenet_v3_large_int8"]
    assert [line.split("  ")[0].strip() for line in lines] == ["NAME", *names]
    column = lines[0].index("METRIC")
    assert [line[column : column + 12].strip() for line in lines] == ["METRIC", "acc@1 75.274", "", ""]
    models = json.loads(run("list", "mobilenet_v3_large*", "--format", "json").stdout)
    assert [(m["weights"], m["metric"]) for m in models] == [
        (["IMAGENET1K_V1", "IMAGENET1K_V2"], ["acc@1", 75.274]),
        ([], None),
        (["IMAGENET1K_V1", "IMAGENET1K_V2"], None),  # published of the float model
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["show", "mobilenet_v3_lage"],
            2,
            "error: unknown model `mobilenet_v3_lage`; did you mean `mobilenet_v3_large` or `mobilenet_v3_large_075` "
            "or `fcn_mobilenet_v3_large`?\n",
        ),
        (
            ["list", "--task", "clasification"],
            2,
            "error: unknown type of task `clasification`; did you mean `classification`?\n",
        ),
        (
            ["predict", "mobilenet_v3_small", "no.jpg"],
            1,
            "error: there is no file or folder 'no.jpg'; check the path\n",
        ),
        (
            ["show", "mobilenet_v3_small", "--set", "backbone.width_mlt=2"],
            1,
            "--set:1:1: error: unknown key `width_mlt` in `backbone` [REG101]\n1 | backbone.width_mlt=2\n"
            "  | ^^^^^^^^^^^^^^^^^^\n  help: did you mean `width_mult`?\n",
        ),
        (
            ["show", "mobilenet_v3_small", "--set", "oops"],
            1,
            "--set:1:1: error: an override has the form `key.key=value` [REG113]\n1 | oops\n  | ^^^^\n"
            "  help: write for instance `backbone.in_channels=1`\n",
        ),
        (["show", "gone.yaml"], 1, "gone.yaml:1:1: error: there is no such file [REG001]\n"),
        (["show", "gone.safetensors"], 1, None),
    ],
)
def test_mistakes_end_in_one_clear_message(
    arguments: list[str], code: int, message: str | None, tmp_path: Path
) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == code
    assert b"Traceback" not in result.stderr
    if message is not None:
        assert result.stderr.decode() == message


def test_an_unknown_verb_names_the_nearest() -> None:
    result = run("lsit")
    assert result.returncode == 2
    assert result.stderr.decode().endswith("Error: no such verb `lsit`; did you mean `list`?\n")


def test_validate_reads_folders_and_standard_input_and_reports_everything(tmp_path: Path) -> None:
    head = "kind: model\nextends: mobilenet_v3_small\n"
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(f"{head}name: a\nbackbone: {{width_mult: 0}}\n", encoding="utf-8")
    (tmp_path / "specs" / "b.yml").write_text(
        f"{head}name: b\n---\n{head}name: c\nhead: {{dropout: 2}}\n", encoding="utf-8"
    )
    (tmp_path / "specs" / "notes.txt").write_text("not a spec", encoding="utf-8")
    result = run("validate", "specs", "-", "--format", "json", cwd=tmp_path, stdin=f"{head}name: d\ntsak: 1\n".encode())
    found = [(d["file"], d["line"], d["column"], d["rule"]) for d in json.loads(result.stdout)]
    assert found == [("<stdin>", 4, 1, "REG101"), ("specs/a.yaml", 4, 24, "REG104"), ("specs/b.yml", 8, 17, "REG104")]
    assert result.returncode == 1


def test_explain_names_the_file_and_line_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "kind: model\nname: mine\nextends: mobilenet_v3_large\nbackbone:\n  width_mult: 0.5\n", encoding="utf-8"
    )
    lines = run("explain", "m.yaml", "--set", "head.dropout=0.5", cwd=tmp_path).stdout.decode().splitlines()
    origins = {line.split(":")[0]: line.rpartition("# ")[2] for line in lines if "# " in line}
    assert origins["backbone.width_mult"] == "m.yaml:5"
    assert origins["head.dropout"] == "--set:1"
    assert origins["head.hidden_channels"].endswith("registry_mobilenet/catalog/mobilenet_v3_large.yaml:12")
    assert origins["backbone.blocks.0"].endswith("registry_mobilenet/catalog/backbones.yaml:9")


SHOWN = """\
name: mine
kind: model
extends: mobilenet_v3_small
summary: null
aliases: null
backbone: {norm: auto, trainable_stages: 2}
head: {num_classes: 7}
task: {categories: [a, b, c, d, e, f, g]}
weights: null
default_weights: null
figures: null
references: null
backbone_weights: {source: ./small.pth, sha256: 047dcff4}
"""


def test_show_describes_a_model_from_its_parts_to_its_weights(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(SHOWN, encoding="utf-8")
    sections = run("show", "m.yaml", cwd=tmp_path).stdout.decode().split("\n\n")
    facts = sections[0].splitlines()
    assert facts[:6] == [
        "mine",
        "  task              classification",
        "  backbone          mobilenet_v3, 3 input channels",
        "  head              mobilenet_v3_classifier, 7 classes",
        "  categories        7: a, b, c, d, e, …",
        facts[5],
    ]
    assert [line for line in facts if "eps 1e-05" in line and "momentum 0.1" in line and "frozen_batch" in line]
    assert [line for line in facts if line.endswith("  the last 2 of 6 stages with weights, else all")]
    assert sections[2:] == [
        "maps inside blocks\n"
        "  LEVEL         CHANNELS  STRIDE  MODULE\n"
        "  c2_expansion        72       4  features.2.block.0\n"
        "  c3_expansion        96       8  features.4.block.0\n"
        "  c4_expansion       288      16  features.9.block.0",
        "backbone weights\n  ./small.pth  sha256 047dcff4\n",
    ]
    data = json.loads(run("show", "m.yaml", "--format", "json", cwd=tmp_path).stdout)
    assert data["category_names"] == ["a", "b", "c", "d", "e", "f", "g"]
    assert [(m["name"], m["channels"], m["stride"]) for m in data["inner_maps"]] == [
        ("c2_expansion", 72, 4),
        ("c3_expansion", 96, 8),
        ("c4_expansion", 288, 16),
    ]
    assert data["notes"] == []


def test_show_notes_the_warnings_that_the_author_accepts() -> None:
    sections = run("show", "fasterrcnn_mnv3_large_fpn").stdout.decode().split("\n\n")
    assert [section for section in sections if section.startswith("notes")] == [
        "notes\n  levels `c4` and `c5` both have stride 32, so boxes are pooled from one level fewer; "
        "the others serve proposals and the way down only [REG207]"
    ]


def test_explain_tells_what_depends_on_weights() -> None:
    text = run("explain", "fasterrcnn_mnv3_large_fpn").stdout.decode()
    section = text.partition("\ndepending on weights\n")[2].partition("\n\n")[0].splitlines()
    assert len(section) == 2
    assert all(word in section[0] for word in ("norm  ", "batch", "eps 1e-05", "momentum 0.1", "frozen_batch"))
    assert section[1].endswith("  the last 3 of 6 stages with weights, else all")
    assert "depending on weights" not in run("explain", "mobilenet_v3_small").stdout.decode()


def test_build_reports_what_torchvision_has() -> None:
    result = run("build", "mobilenet_v3_small", "--check", "--format", "json")
    report = json.loads(result.stdout)
    assert report["parameters"] == report["trainable"] == 2_542_856
    assert report["macs"] == pytest.approx(56.5e6, rel=0.01)  # torchvision publishes 0.057 G
    assert report["check"] == "output (1, 1000)"
    assert report["features"][-1] == {"name": "c5", "channels": 576, "height": 7, "width": 7}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny random model with three named classes."""
    torch.manual_seed(0)
    settings = {"backbone.width_mult": 0.35, "task.categories": ["ant", "bee", "cat"], "task.preprocessing.crop": 64}
    built = registry.build("mobilenet_v3_small", overrides=settings, num_classes=3)
    return registry.save(built, tmp_path_factory.mktemp("run") / "tiny.safetensors")


def test_build_counts_the_module_that_it_built(checkpoint: Path) -> None:
    """With weights an automatic norm has no parameters, and stages are frozen."""
    settings = ("backbone.width_mult=0.35", "backbone.norm=auto", "backbone.trainable_stages=1")
    assigned = [word for setting in settings for word in ("--set", setting)]
    found = run(
        "build", "mobilenet_v3_small", *assigned, "--num-classes", "3", "--backbone-weights", checkpoint, "--size", "64"
    ).stdout.decode()
    same = mobilenet_v3_small(width_mult=0.35, num_classes=3, norm_layer=FrozenBatchNorm2d)
    total, frozen = (sum(p.numel() for p in module.parameters()) for module in (same, same.features[:12]))
    assert found.splitlines()[1] == f"  parameters     {total:,} ({frozen:,} frozen)"
    size = 4 * (total + sum(b.numel() for b in same.buffers())) / 1e6
    assert found.splitlines()[2] == f"  size           {size:.2f} MB"


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["mobilenet_v3_small", "--set", "task.preprocessing.crop=64"], [64, 64]),  # the task resizes
        (["ssdlite320_mnv3_large"], [320, 320]),  # the head resizes
        (["mobilenet_v3_small", "--set", "task.preprocessing.crop=null"], [224, 224]),
        (["mobilenet_v3_small", "--size", "48"], [48, 48]),
    ],
)
def test_build_measures_at_the_models_own_size(arguments: list[str], size: list[int]) -> None:
    done = CliRunner().invoke(cli, ["build", *arguments, "--device", "meta", "--format", "json"])
    assert done.exception is None
    assert json.loads(done.stdout)["image_size"] == size


def test_predict_does_the_good_images_reports_the_bad_one_and_writes_pictures(checkpoint: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (90, 70), (200, 30, 30)).save(tmp_path / folder / "same.png")
    (tmp_path / "a" / "broken.jpg").write_bytes(b"nothing")
    result = run("predict", checkpoint, "a", "b", "--top", "2", "--format", "json", "--output", "out", cwd=tmp_path)
    report = json.loads(result.stdout)
    assert result.returncode == 1
    assert [entry["file"] for entry in report["results"]] == ["a/same.png", "b/same.png"]
    assert [failure["file"] for failure in report["failures"]] == ["a/broken.jpg"]
    assert len(report["results"][0]["top"]) == 2
    assert {entry["label"] for entry in report["results"][0]["top"]} <= {"ant", "bee", "cat"}
    assert sorted(os.listdir(tmp_path / "out")) == ["same.png-2.png", "same.png.png"]
    picture = Image.open(io.BytesIO((tmp_path / "out" / "same.png.png").read_bytes()))
    assert picture.width == 480
    assert picture.getpixel((240, 40)) == (200, 30, 30)


def test_predict_refuses_random_weights() -> None:
    result = run("predict", "mobilenet_v3_small", __file__)
    assert (result.returncode, result.stderr.decode()) == (
        1,
        "error: without weights the answers of `mobilenet_v3_small` mean nothing; "
        "give weights: `default` or one of `IMAGENET1K_V1`, or a file\n",
    )


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    command = f"{sys.executable} -m registry.cli explain mobilenet_v3_large | head -n 1"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr


def test_parts_of_a_kind_are_listed_with_their_types_and_documents() -> None:
    result = CliRunner().invoke(cli, ["list", "--kind", "backbone", "mobilenet_v3*", "--format", "json"])
    rows = json.loads(result.stdout)
    assert {"what": "type", "name": "mobilenet_v3", "distribution": "vision-registry", "kind": "backbone"} in rows
    assert {row["what"] for row in rows} == {"type", "document"}
    shown = CliRunner().invoke(cli, ["list", "--kind", "head"]).stdout
    assert "faster_rcnn" in shown
    assert shown.splitlines()[0].split() == ["NAME", "WHAT", "DISTRIBUTION"]
    assert "no recipe matches `nothing*`" in CliRunner().invoke(cli, ["list", "nothing*", "--kind", "recipe"]).stderr
