"""The predictor: kinds of pictures, batches, threads, and what it is made from."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import registry
from registry.errors import ImageError, RegistryError
from registry.predictor import Predictor

MODEL = {
    "extends": "mobilenet_v3_small",
    "kind": "model",
    "name": "half",
    "backbone": {"width_mult": 0.5},
    "head": {"num_classes": 5},
    "task": {"categories": ["a", "b", "c", "d", "e"], "preprocessing": {"resize": 72, "crop": 64}},
    "weights": None,
    "default_weights": None,
}


def picture(seed: int, size: tuple[int, int] = (90, 80)) -> Image.Image:
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = registry.build(MODEL)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.fill_(0.2)  # type: ignore[union-attr]  # so that outputs differ from picture to picture
    return Predictor(model)


def scores(result: Any) -> list[tuple[int, float]]:
    return sorted((entry.index, entry.score) for entry in result.top)


def assert_same(one: Any, other: Any) -> None:
    assert [index for index, _ in scores(one)] == [index for index, _ in scores(other)]
    assert [value for _, value in scores(one)] == pytest.approx([value for _, value in scores(other)], abs=1e-5)


def test_the_package_offers_it_without_importing_torch() -> None:
    code = "import sys, registry; registry.Predictor; print('torch' in sys.modules, 'Predictor' in registry.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    assert registry.Predictor is Predictor


def test_pictures_differ_to_the_model(predictor: Predictor) -> None:
    assert scores(predictor(picture(0))) != scores(predictor(picture(1)))


def test_a_path_bytes_an_image_and_an_array_are_one_picture(predictor: Predictor, tmp_path: Path) -> None:
    image = picture(0)
    image.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    kinds: list[Any] = [tmp_path / "a.png", str(tmp_path / "a.png"), data, image, np.asarray(image)]
    first, *others = [scores(predictor(kind)) for kind in kinds]
    assert others == [first] * 4


def test_an_image_of_another_mode_is_read_as_its_file_would_be(predictor: Predictor) -> None:
    image = picture(2).convert("RGBA")
    image.putalpha(100)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    assert scores(predictor(image)) == scores(predictor(buffer.getvalue()))
    over_white = np.asarray(predictor.predict(image)[0])
    assert over_white.min() > 150  # where transparency of 100 of 255 leaves at least 155 of white


def test_an_image_that_says_how_it_was_held_is_turned(predictor: Predictor) -> None:
    image = picture(3)
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", exif=exif)
    opened = Image.open(io.BytesIO(buffer.getvalue()))
    upright, _ = predictor.predict(opened)
    assert upright.size == (80, 90)
    assert np.array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 of the shape \(H, W, 3\), RGB, not uint8 of \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"not uint8 of \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"not uint8 of \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.float32), r"not float32 of \(4, 4, 3\)"),
        (5, "a path, bytes, a PIL image or an array, not a int"),
        (b"", "empty"),
        ("not-there.png", "no such file"),
    ],
)
def test_what_is_no_picture_is_told(predictor: Predictor, wrong: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        predictor(wrong)
    with pytest.raises(ImageError, match=message):
        predictor([picture(0), wrong])


# ---- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_a_batch_gives_what_single_pictures_give_in_their_order(predictor: Predictor, batch: int) -> None:
    pictures = [picture(seed, (90 + seed, 80)) for seed in range(5)]
    for one, other in zip(predictor(pictures, batch=batch), [predictor(each) for each in pictures], strict=True):
        assert_same(one, other)


def test_pictures_of_one_shape_go_through_the_model_together(predictor: Predictor) -> None:
    seen: list[int] = []
    handle = predictor.model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    try:
        predictor.predict_batch([picture(seed) for seed in range(5)], batch=2)
    finally:
        handle.remove()
    assert seen == [2, 2, 1]


def test_no_pictures_have_no_results(predictor: Predictor) -> None:
    assert predictor([]) == []


@pytest.mark.parametrize("batch", [0, -1, True, 1.5, "2"])
def test_a_batch_is_a_number(predictor: Predictor, batch: Any) -> None:
    with pytest.raises(RegistryError, match="a batch is a number of pictures, 1 or more"):
        predictor([picture(0)], batch=batch)


def test_detections_of_pictures_of_several_sizes_are_those_of_each_alone() -> None:
    torch.manual_seed(0)
    overrides = {"head.image.size": [96, 96], "head.score_threshold": 0.0, "task.score_threshold": 0.0, "task.top": 5}
    model = registry.build("ssdlite320_mnv3_large", overrides=overrides)
    found = Predictor(model)
    pictures = [picture(0, (90, 80)), picture(1, (60, 100)), picture(2, (90, 80))]
    together = found(pictures)
    for one, other in zip(together, [found(each) for each in pictures], strict=True):
        assert [box.score for box in one.boxes] == pytest.approx([box.score for box in other.boxes], abs=1e-5)


def test_a_picture_on_which_the_model_fails_is_named_among_others(tmp_path: Path) -> None:
    class Picky(nn.Module):
        spec = registry.load_spec(MODEL)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool((x.flatten(2).std(2) < 1e-3).any()):
                raise ValueError("too plain")
            return torch.zeros(len(x), 5)

    plain = tmp_path / "plain.png"
    Image.new("RGB", (90, 80)).save(plain)
    with pytest.raises(ImageError, match=r"`half` fails on .*plain.png' of 90x80 pixels: ValueError: too plain"):
        Predictor(Picky())([picture(0), plain, picture(1)])


# ---- threads ---------------------------------------------------------------------------------------------------------


def test_threads_share_a_predictor(predictor: Predictor) -> None:
    pictures = [picture(seed) for seed in range(4)]
    expected = [scores(predictor(each)) for each in pictures]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: scores(predictor(pictures[index % 4])), range(40)))
    assert found == expected * 10


# ---- what it is made from --------------------------------------------------------------------------------------------


def test_it_builds_what_a_name_or_spec_says(tmp_path: Path, predictor: Predictor) -> None:
    path = registry.save(predictor.model, tmp_path / "half.safetensors")
    image = picture(0)
    from_checkpoint = registry.Predictor(path)
    from_spec = registry.Predictor(registry.load_spec(MODEL), weights=str(path))
    assert scores(from_checkpoint(image)) == scores(from_spec(image)) == scores(predictor(image))
    assert from_checkpoint.spec.name == "half"
    with pytest.raises(RegistryError, match="without weights the answers of `half` mean nothing"):
        registry.Predictor(registry.load_spec(MODEL))
    with pytest.raises(RegistryError, match="a built module has its weights and settings"):
        registry.Predictor(predictor.model, weights=str(path))
