"""Pictures that are held out: which, what is left, and the gap to validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from registry_training.held_out import check_held_out, held_out_data
from torch import nn

import registry
from registry.errors import RegistryError


class Colours:
    """Pictures of one grey each, its number, with the label that the number is odd."""

    categories = ("even", "odd")

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (8, 6), (index,) * 3), index % 2

    def name_of(self, index: int) -> str:
        return f"{index}.png"

    def size_of(self, index: int) -> tuple[int, int]:
        return 6, 8


def grey(pair: tuple[Image.Image, int]) -> Any:
    return pair[0].getpixel((0, 0))[0]  # type: ignore[index]  # an RGB picture has three


def test_a_fraction_is_drawn_once_from_the_seed_and_shares_nothing_with_what_is_left() -> None:
    made = registry.default_registry()
    (left, held), (again, same), (_, other) = (
        held_out_data(made, "0.25", Colours(40), "classification", seed) for seed in (0, 0, 1)
    )
    greys = [[grey(part[index]) for index in range(len(part))] for part in (left, held)]
    assert len(greys[1]) == 10
    assert sorted(greys[0] + greys[1]) == list(range(40))
    assert [grey(same[i]) for i in range(10)] == greys[1]
    assert [grey(other[i]) for i in range(10)] != greys[1]
    assert len(again) == 30
    assert [held.name_of(i) for i in range(10)] == [f"{value}.png" for value in greys[1]]
    assert (held.size_of(0), held.categories) == ((6, 8), ("even", "odd"))
    with pytest.raises(IndexError):
        held[10]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("0", "between 0 and 1"),
        ("1.5", "between 0 and 1"),
        ("nan", "between"),
        ("0.01", "without a picture"),
        ("0.99", "without a picture"),
    ],
)
def test_a_fraction_that_leaves_nothing_is_refused(wanted: str, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        held_out_data(registry.default_registry(), wanted, Colours(20), "classification")


def folder_of(root: Path, names: tuple[str, str]) -> str:
    for split in ("train", "val"):
        for place, name in enumerate(names):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (99 * place,) * 3).save(root / split / name / "1.png")
    return f"{root}/"


def test_a_data_set_is_held_out_whole_and_must_have_the_same_classes(tmp_path: Path) -> None:
    made, training = registry.default_registry(), Colours(20)
    left, held = held_out_data(made, folder_of(tmp_path / "same", ("even", "odd")), training, "classification")
    assert left is training
    assert [held[index][1] for index in range(len(held))] == [0, 1]
    with pytest.raises(RegistryError, match="other classes than the training data: cat, dog against even, odd"):
        held_out_data(made, folder_of(tmp_path / "other", ("cat", "dog")), training, "classification")


class Always(nn.Module):
    """Names the first class, whatever it sees."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0, 0.0]]).repeat(len(inputs), 1)


def test_the_gap_is_validation_less_held_out() -> None:
    spec = registry.load_spec("mobilenet_v3_small", num_classes=2)
    made = registry.default_registry()
    # of pictures 0 to 4, three are even, and the model calls every one even
    found = check_held_out(made, spec, Always(), Colours(5), {"top1": 0.75, "other": 1.0})
    assert found.figures == {"top1": 3 / 5}
    assert found.gap == pytest.approx({"top1": 0.75 - 0.6})
    assert found.as_text() == "held out: top1 0.6 on 5 pictures; validation 0.75, a gap of +0.15"
    alone = check_held_out(made, spec, Always(), Colours(5), {})
    assert (alone.gap, alone.as_text()) == ({}, "held out: top1 0.6 on 5 pictures")
