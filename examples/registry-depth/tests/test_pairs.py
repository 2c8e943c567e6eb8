"""Folders of pictures and 16-bit depths."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
from PIL import Image

import registry
from registry_depth.pairs import build
from registry_depth.specs import DepthPairsSpec


def add(folder: Path, name: str, values: numpy.ndarray, size: tuple[int, int] = (3, 2)) -> None:
    for kind in ("images", "depth"):
        (folder / "train" / kind / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 8, 7)).save(folder / "train" / "images" / f"{name}.jpg", quality=100)
    Image.fromarray(values).save(folder / "train" / "depth" / f"{name}.png")


def test_pairs_are_pictures_and_metres_by_name(tmp_path: Path) -> None:
    add(tmp_path, "b", numpy.full((2, 3), 512, numpy.uint16))
    add(tmp_path, "deeper/a", numpy.array([[0, 256, 65535], [1, 2, 3]], numpy.uint16))
    pairs = build(DepthPairsSpec(folder=str(tmp_path), scale=256), "train")
    assert len(pairs) == 2
    assert (pairs[0][0].mode, pairs[0][0].size) == ("RGB", (3, 2))
    assert pairs[0][1].tolist() == [[2.0] * 3] * 2
    assert pairs[1][1].tolist() == [[0, 1, 65535 / 256], [1 / 256, 2 / 256, 3 / 256]]
    assert len(list(pairs)) == 2


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    spec = DepthPairsSpec(folder=str(tmp_path))
    with pytest.raises(registry.RegistryError) as caught:
        build(spec, "test")
    assert str(caught.value) == "there is no split `test`; the splits are train, validation"
    with pytest.raises(registry.RegistryError) as caught:
        build(spec, "train")
    assert str(caught.value) == f"there is no file or folder '{tmp_path / 'train' / 'images'}'; check the path"
    add(tmp_path, "eight", numpy.zeros((2, 3), numpy.uint8))
    file = tmp_path / "train" / "depth" / "eight.png"
    with pytest.raises(registry.ImageError) as wrong:
        build(spec, "train")[0]
    assert str(wrong.value) == f"the depths '{file}' are no 16-bit grey picture, but of Pillow's mode L"
    add(tmp_path, "eight", numpy.zeros((4, 3), numpy.uint16))
    with pytest.raises(registry.ImageError) as wrong:
        build(spec, "train")[0]
    picture = tmp_path / "train" / "images" / "eight.jpg"
    assert str(wrong.value) == f"'{picture}' and '{file}' differ in size, 3x2 and 3x4 pixels"
    file.write_bytes(b"no picture")
    with pytest.raises(registry.ImageError, match="cannot read the depths"):
        build(spec, "train")[0]
    file.unlink()
    with pytest.raises(registry.RegistryError) as caught:
        build(spec, "train")
    assert str(caught.value) == f"1 of 1 pictures have no depths; the first is missing at '{file}'"
