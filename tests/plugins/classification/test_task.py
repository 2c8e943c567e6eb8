"""The classification task: real answers on real photos, and results that say what they mean."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import torch
from PIL import Image

import registry
from registry.predictor import Predictor

HALF = [0.5, 0.5, 0.5]
SAME = {"backbone.padding": "same", "task.preprocessing": {"mean": HALF, "std": HALF}}
SYMMETRIC = {"backbone.padding": "symmetric", "task.preprocessing": {"mean": HALF, "std": HALF}}


def _predictor(file: Path, overrides: dict[str, Any] | None = None) -> Predictor:
    return Predictor.load(registry.default_registry(), "mobilenet_v3_small", weights=file, overrides=overrides)


def _only(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "overrides", "top1", "top5"),
    [
        ("weights_mbv3_small", SAME, 80, 103),
        ("weights_mbv3_small", SYMMETRIC, 62, 92),
        ("weights_mbv3_small_torchvision", None, 84, 107),
    ],
)
def test_real_weights_name_real_photos(
    shared_data: Path, weights: str, overrides: dict[str, Any] | None, top1: int, top5: int
) -> None:
    photos = shared_data / "caltech101_imagenet"
    rows = list(csv.DictReader((photos / "labels.csv").open(encoding="utf-8")))
    predictor = _predictor(_only(shared_data / weights), overrides)
    hits = [0, 0]
    for row in rows:
        _, result = predictor.predict(photos / "images" / row["file"])
        indices = [scored.index for scored in result.top]
        hits[0] += indices[0] == int(row["index"])
        hits[1] += int(row["index"]) in indices
    assert (len(rows), *hits) == (128, top1, top5)


@pytest.mark.slow
def test_the_command_line_gives_the_same_answers(shared_data: Path, tmp_path: Path) -> None:
    photos = shared_data / "caltech101_imagenet"
    (tmp_path / "same.yaml").write_text(
        "kind: model\nname: same\nextends: mobilenet_v3_small\nbackbone: {padding: same}\n"
        "task: {preprocessing: {mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}\nweights: null\ndefault_weights: null\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "registry.cli", "predict", "same.yaml", str(photos / "images"), "--format", "json"]
    weights = str(_only(shared_data / "weights_mbv3_small"))
    done = subprocess.run([*command, "--weights", weights], cwd=tmp_path, capture_output=True, check=True)
    truth = {row["file"]: int(row["index"]) for row in csv.DictReader((photos / "labels.csv").open(encoding="utf-8"))}
    results = json.loads(done.stdout)["results"]
    top = [(truth[Path(r["file"]).name], [scored["index"] for scored in r["top"]]) for r in results]
    assert sum(index == found[0] for index, found in top) == 80
    assert sum(index in found for index, found in top) == 103


def test_the_cat_is_an_egyptian_cat(shared_data: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.chelsea()).save(buffer, format="PNG")
    predictor = _predictor(_only(shared_data / "weights_mbv3_small"), SAME)
    _, result = predictor.predict(buffer.getvalue())
    assert result.top[0].label == "Egyptian cat"
    assert result.top[0].index == 285


def _task(**settings: Any) -> Any:
    spec = registry.load_spec("mobilenet_v3_small", overrides=settings)
    return registry.default_registry().task(spec)


def test_results_are_the_largest_softmax_values_in_order() -> None:
    task = _task(**{"task.top_k": 2, "head.num_classes": 3, "task.categories": ["a", "b", "c"]})
    (result,) = task.postprocess(torch.tensor([[0.0, 1.0, 3.0]]), [(1, 1)])
    total = 1 + 2.718281828 + 20.085536923
    assert [(c.index, c.label) for c in result.top] == [(2, "c"), (1, "b")]
    assert [c.score for c in result.top] == pytest.approx([20.085536923 / total, 2.718281828 / total])
    assert task.as_data(result)["top"][0] == {"index": 2, "label": "c", "score": 0.843795}
    assert task.as_text(result) == " 84.4 %  c\n 11.4 %  b"


def test_fewer_classes_than_top_k_are_all_named() -> None:
    task = _task(**{"head.num_classes": 2, "task.categories": None})
    (result,) = task.postprocess(torch.zeros(1, 2), [(1, 1)])
    assert sorted(c.label for c in result.top) == ["class 0", "class 1"]


def test_grey_pre_processing_feeds_one_channel() -> None:
    task = _task(**{"task.preprocessing": {"mean": [0.0], "std": [1.0], "resize": None, "crop": None}})
    tensor = task.preprocess(Image.new("RGB", (5, 4), (255, 255, 255)))
    assert tensor.shape == (1, 4, 5)
    assert torch.equal(tensor, torch.ones(1, 4, 5))


def test_pictures_of_different_sizes_do_not_share_a_batch() -> None:
    with pytest.raises(registry.RegistryError) as caught:
        _task().collate([torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)])
    assert str(caught.value) == "pictures of different sizes cannot share a batch; set task.preprocessing.crop"


def test_a_model_of_other_channels_than_its_pre_processing_is_refused() -> None:
    model = registry.build("mobilenet_v3_small", in_channels=1, overrides={"backbone.width_mult": 0.35})
    predictor = Predictor(model, registry.default_registry().task(model.spec))  # type: ignore[arg-type]
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    with pytest.raises(registry.RegistryError) as caught:
        predictor.predict(buffer.getvalue())
    assert str(caught.value) == (
        "`mobilenet_v3_small` takes 1 input channels, its task's pre-processing yields 3; "
        "change the settings under task.preprocessing"
    )


@pytest.mark.parametrize("size", [(1, 1), (4000, 2), (3, 900), (640, 480)])
def test_the_drawing_holds_picture_and_bars_whatever_the_size(size: tuple[int, int]) -> None:
    task = _task(**{"task.top_k": 3})
    (result,) = task.postprocess(torch.eye(1, 1000) * 20, [size])
    drawn = task.draw(Image.new("RGB", size, (10, 20, 30)), result)
    # three lines of 30 pixels and two margins of 12 below the picture
    scale = min(480 / size[0], 480 / size[1])
    assert drawn.size == (480, max(1, round(size[1] * scale)) + 3 * 30 + 2 * 12)
