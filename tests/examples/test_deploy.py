"""The models of the examples go through `registry export` and `registry quantize`: the product knows none of them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from example_data import rectangles, walls
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
RunAlone = Callable[..., str]

CENTERNET = ("centernet_mnv3_small", [
    "head.image.min_size=64", "head.image.max_size=64", "head.neck.channels=16", "head.branch_channels=16",
    "head.num_classes=3", "task.categories=[background, red, blue]", "backbone.norm={kind: batch, eps: 0.001, momentum: 0.1}",
])  # fmt: skip
DEPTH = ("depth_mnv3_small", ["task.preprocessing.resize=64", "head.channels=16"])
TIMM = ("tf_efficientnet_lite0", [
    "head.num_classes=2", "task.categories=[dark, light]", "task.preprocessing.crop=64", "task.preprocessing.resize=64",
])  # fmt: skip

#: Builds a model, trains it for some steps on the training pictures, keeps it, and gives commands to the product. Prints what
#: each told, and for every file and picture how far its answers are from the module's: the largest difference, the largest
#: magnitude of the module's answers, the mean square of the differences, and the variance of the module's answers.
SCRIPT = """
import json, sys
import torch
from click.testing import CliRunner
from registry_training.prepare import opened, split
import registry
from registry.cli.group import cli

torch.manual_seed(0)
job = json.load(open("job.json"))
own = registry.default_registry()
model = registry.build(job["model"], overrides=job["settings"])
task = own.task(model.spec)
if job["steps"]:
    pictures = split(own, opened(own, job["data"], model.spec.task.type, []), "train")
    inputs, targets = zip(*(pictures[index] for index in range(len(pictures))))
    batch = task.collate([task.preprocess(picture) for picture in inputs])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(job["steps"]):
        losses = task.losses(model.train(), batch, task.collate_targets(list(targets)), model.spec.head)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
if "boxes" in job:  # sizes and scores that rounding does not turn into none
    branches = model.network.branches
    with torch.no_grad():
        branches["heatmap"].get_parameter("last.weight").normal_()
        branches["heatmap"].get_parameter("last.bias").zero_()
        branches["size"].get_parameter("last.bias").fill_(5.0)
own.save(model.eval(), "model.safetensors")

told = []
for words in job["commands"]:
    done = CliRunner().invoke(cli, words)
    assert done.exception is None or isinstance(done.exception, (registry.RegistryError, SystemExit)), done.exc_info
    error = None if done.exception is None else f"{done.exception} {done.output}"
    told.append({"error": error, "text": done.stdout})

def numbers(output):
    if not isinstance(output, list):
        return output
    rows = torch.cat([torch.cat([one["labels"][:, None], one["scores"][:, None], one["boxes"]], 1) for one in output])
    return rows[torch.argsort(rows[:, 1], descending=True, stable=True)]

far = {}
if job["files"]:
    given = [task.preprocess(registry.images.read_image(path)) for path in job["pictures"]]
    for file in job["files"]:
        found = own.load_artefact(file)
        far[file] = []
        with torch.no_grad():
            for picture in given:
                wanted = numbers(model(task.collate([picture.clone()])))
                answer = numbers(found(task.collate([picture.clone()])))
                assert wanted.numel() and wanted.shape == answer.shape, (file, wanted.shape, answer.shape)
                noise = (wanted - answer).double().square().mean()
                far[file].append([
                    float((wanted - answer).abs().max()), float(wanted.abs().max()),
                    float(noise), float(wanted.double().var()),
                ])
print("\\n" + json.dumps({"told": told, "far": far}))
"""


@pytest.fixture(scope="module")
def python(environment_with: Callable[..., Path]) -> Path:
    """Python of an environment in which every example is installed."""
    return environment_with(*EXAMPLES, editable=True)


@pytest.fixture
def deployed(python: Path, run_alone: RunAlone, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the script above in a folder of its own."""

    def run(
        model: tuple[str, list[str]],
        commands: Sequence[Sequence[str]],
        *,
        files: Sequence[str] = (),
        pictures: Sequence[str] = (),
        data: str = "",
        steps: int = 0,
        **more: bool,
    ) -> dict[str, Any]:
        job = {"model": model[0], "settings": model[1], "commands": commands, "files": files, "pictures": pictures}
        (tmp_path / "job.json").write_text(json.dumps({**job, "data": data, "steps": steps, **more}))
        found: dict[str, Any] = json.loads(
            run_alone(python, "-c", SCRIPT, cwd=tmp_path, OMP_NUM_THREADS="1").splitlines()[-1]
        )
        return found

    return run


def photos(folder: Path) -> list[str]:
    """Two pictures of one height with something on them."""
    names = []
    for index, width in enumerate((96, 64)):
        picture = Image.radial_gradient("L").resize((width, 64)).convert("RGB")
        picture.paste((255, 40, 0), (8 + 6 * index, 8, 40, 40))
        names.append(str(folder / f"{index}.png"))
        picture.save(names[-1])
    return names


def shades(folder: Path) -> str:
    """Dark and light pictures: eight to train on, four to measure."""
    for split, count in (("train", 4), ("val", 2)):
        for name, level in (("dark", 40), ("light", 170)):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                picture = Image.radial_gradient("L").resize((70, 66)).point(lambda value, add=level: value // 4 + add)
                picture.rotate(30 * index).save(folder / split / name / f"{index}.png")
    return f"{folder}/"


def export(target: str, file: str, *words: str) -> list[str]:
    return ["export", "model.safetensors", "--target", target, "-o", file, *words]


def onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


@pytest.mark.parametrize(
    ("model", "target", "file"),
    [
        pytest.param(CENTERNET, "onnx", "m.onnx", id="centernet-onnx"),
        pytest.param(CENTERNET, "torch-export", "m.pt2", id="centernet-torch", marks=pytest.mark.slow),
        pytest.param(DEPTH, "onnx", "m.onnx", id="depth-onnx"),
        pytest.param(DEPTH, "torch-export", "m.pt2", id="depth-torch", marks=pytest.mark.slow),
    ],
)
def test_an_exported_file_answers_as_the_module_does(
    model: tuple[str, list[str]], target: str, file: str, deployed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    if target == "onnx":
        onnx()
    pictures = photos(tmp_path)
    images = [word for path in pictures for word in ("--image", path)]
    faster = ["--set", "export.exporter=trace"] if target == "onnx" else []
    commands = [export(target, file, *faster, *images), ["predict", file, pictures[0], "--format", "json"]]
    more = {"boxes": True} if model is CENTERNET else {}
    found = deployed(model, commands, files=[file], pictures=pictures, **more)
    assert [each["error"] for each in found["told"]] == [None, None]
    assert len(found["far"][file]) == len(pictures)
    for largest, magnitude, _, _ in found["far"][file]:
        assert magnitude > 0.1
        assert largest <= 1000 * torch.finfo(torch.float32).eps * magnitude
    (result,) = json.loads(found["told"][1]["text"])["results"]
    assert result["boxes" if model is CENTERNET else "depth"]


def test_what_cannot_be_done_is_refused_with_the_reason(
    deployed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    data = rectangles(tmp_path / "data")
    quantize = ["quantize", "model.safetensors", "--data", data]
    refused = {
        "`centernet_mnv3_small` takes a list of images, which the file runs one by one: its batch has no axis": export(
            "onnx", "m.onnx", "--dry-run", "--set", "export.dynamic=[batch]"
        ),
        "files of the target `torch-export` end in .pt2; write `m.pt2`": export("torch-export", "m.onnx", "--dry-run"),
        "`xnnpack` makes models for files that end in .pt2 (for torch-export) or .pte (for executorch)": [
            *quantize, "-o", "m.onnx"
        ],
        "ranges of random weights mean nothing; give --weights, or a checkpoint": [
            "quantize", CENTERNET[0], "--data", data
        ],
        "`depth_pairs`": [
            "quantize", "model.safetensors", "--data", walls(tmp_path / "walls")
        ],
    }  # fmt: skip
    found = deployed(CENTERNET, list(refused.values()))
    for text, told in zip(refused, found["told"], strict=True):
        assert told["error"] is not None
        assert text in told["error"]
    assert not list(tmp_path.glob("m.*"))


def quantized(
    deployed: Callable[..., dict[str, Any]],
    model: tuple[str, list[str]],
    data: str,
    schemes: dict[str, str],
    settings: Sequence[str],
    **more: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The reports, after their figures were held against those of `registry evaluate`; and how far the files are."""
    commands: list[list[str]] = [["evaluate", "model.safetensors", "--data", data, "--format", "json"]]
    own = [word for text in settings for word in ("--set", text)]
    for scheme, file in schemes.items():
        words = ["quantize", "model.safetensors", "--data", data, "--scheme", scheme, "-o", file, *own]
        words += [word for path in more["pictures"] for word in ("--image", path)]
        commands += [[*words, "--format", "json"], ["evaluate", file, "--data", data, "--format", "json"]]
    files = [] if model is CENTERNET else list(schemes.values())  # rounding may add a detection or take one
    found = deployed(model, commands, data=data, files=files, **more)
    assert [each["error"] for each in found["told"]] == [None] * len(commands)
    figures, *rest = (json.loads(each["text"]) for each in found["told"])
    reports = rest[::2]
    for report, measured in zip(reports, rest[1::2], strict=True):
        assert report["figures"]["float"] == pytest.approx(figures["figures"], abs=1e-6)
        assert report["figures"]["ptq"] == pytest.approx(measured["figures"], abs=1e-3)
        assert report["written"] == "ptq"
        assert report["export"]["bytes"] > 0
        assert any(not layer["float"] for layer in report["layers"])
    return reports, found["far"]


@pytest.mark.slow
def test_a_new_task_is_quantized(deployed: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    onnx()
    pytest.importorskip("torchao")
    data, schemes = walls(tmp_path / "data"), {"xnnpack": "q.pt2", "onnx": "q.onnx"}
    reports, far = quantized(deployed, DEPTH, data, schemes, [], pictures=photos(tmp_path), steps=20)
    for report in reports:
        assert report["headline"] == "abs_rel"
        assert 0 < report["figures"]["float"]["abs_rel"] < 1
    for differences in far.values():
        for largest, _, noise, power in differences:
            assert 0 < noise < power / 10  # 10 decibels
            assert largest > 0


@pytest.mark.slow
def test_a_new_head_is_quantized(deployed: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    onnx()
    pytest.importorskip("torchao")
    data, schemes = rectangles(tmp_path / "data"), {"xnnpack": "q.pt2", "onnx": "q.onnx"}
    settings = ["quantization.scope=all"]
    seen = [f"{data}val2017/{index}.png" for index in (1, 2, 3)]
    reports, _ = quantized(deployed, CENTERNET, data, schemes, settings, pictures=seen, steps=100)
    for report in reports:
        assert report["figures"]["float"]["ap50"] > 0.5
        assert report["figures"]["ptq"]["ap50"] > 0.5


@pytest.mark.slow
def test_a_layer_in_floats_behind_integers_is_lowered_right(
    deployed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    pytest.importorskip("executorch")
    data = rectangles(tmp_path / "data")
    settings = ["quantization.scope=all", "quantization.float_modules=[network.neck.*]"]
    seen = [f"{data}val2017/{index}.png" for index in (1, 2)]
    (report,), _ = quantized(deployed, CENTERNET, data, {"xnnpack": "q.pte"}, settings, pictures=seen, steps=100)
    assert report["figures"]["ptq"]["ap50"] > 0.5
    assert {layer["name"].startswith("network.neck.") for layer in report["layers"] if layer["float"]} == {True}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the package `timm`")
def test_a_classifier_on_a_backbone_of_timm_is_quantized(
    deployed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    onnx()
    data = shades(tmp_path / "data")
    seen = [f"{data}val/{name}/0.png" for name in ("dark", "light")]
    reports, far = quantized(deployed, TIMM, data, {"onnx": "q.onnx"}, [], pictures=seen, steps=4)
    assert reports[0]["export"]["bytes"] < reports[0]["float_size"] / 2
    for _, _, noise, power in far["q.onnx"]:
        assert noise < power / 10


@pytest.mark.slow
def test_a_detector_that_cannot_be_compiled_leaves_no_file(
    deployed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (told,) = deployed(CENTERNET, [export("torchscript", "m.ts")])["told"]
    assert "`centernet_mnv3_small` cannot be exported to `torchscript`" in told["error"]
    assert not list(tmp_path.glob("*.ts"))
