"""Archives of torch.save, read without its unpickler: the same objects, and whatever is unknown or damaged is left to torch."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from registry.errors import WeightsError
from registry.weights import read_state_dict
from registry.weights.archive import read_archive
from registry.weights.pickled import Function, NotPlainError, values_of

TYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def saved(folder: Path, held: Any) -> Path:
    torch.save(held, folder / "w.pth")
    return folder / "w.pth"


def repacked(path: Path, changes: dict[str, bytes]) -> Path:
    """A copy of an archive with other bytes in some records."""
    target = path.with_name("changed.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name.partition("/")[2], old.read(name)))
    return target


def nothing(_: Any) -> Any:
    raise AssertionError("nothing is stored outside")


class TestEqualToTorch:
    def test_tensors_of_every_common_type_and_layout(self, tmp_path: Path) -> None:
        base = torch.arange(24.0).reshape(2, 3, 4)
        held = {
            **{str(dtype): torch.arange(6).reshape(2, 3).to(dtype) for dtype in TYPES},
            "transposed": base.transpose(0, 2),
            "slice": base[:, 1:, ::2],
            "scalar": torch.tensor(3.5),
            "empty": torch.empty(0, 4),
            "channels_last": torch.rand(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
            "wants": torch.ones(2, requires_grad=True),
        }
        path = saved(tmp_path, held)
        found, expected = read_archive(path), torch.load(path, weights_only=True)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype
            assert found[name].stride() == tensor.stride()
            assert found[name].requires_grad == tensor.requires_grad
            assert torch.equal(found[name], tensor)
        assert found["slice"].untyped_storage().data_ptr() == found["transposed"].untyped_storage().data_ptr()

    def test_a_state_dict_with_its_versions(self, tmp_path: Path) -> None:
        path = saved(tmp_path, nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).state_dict())
        found: Any = read_archive(path)
        expected: Any = torch.load(path, weights_only=True)
        assert type(found) is OrderedDict
        assert list(found) == list(expected)
        assert vars(found) == vars(expected)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())

    def test_a_checkpoint_with_plain_values(self, tmp_path: Path) -> None:
        held = {
            "epoch": 3,
            "big": 2**40,
            "negative": -7,
            "far": 70_000,
            "rate": 0.125,
            "flags": [True, False, None],
            "none": [],
            "one": ["ä"],
            "pair": (1, (2, 3, 4, 5)),
            "nested": {"a": {}, "b": {"c": ()}},
            "model": OrderedDict(w=nn.Parameter(torch.ones(2), requires_grad=False)),
        }
        found: Any = read_archive(saved(tmp_path, held))
        tensor = found["model"].pop("w")
        assert type(tensor) is nn.Parameter
        assert not tensor.requires_grad
        assert torch.equal(tensor, torch.ones(2))
        held["model"] = OrderedDict()
        assert found == held

    def test_more_than_a_few_hundred_tensors(self, tmp_path: Path) -> None:
        held = {f"layer.{index}": torch.full((3,), float(index)) for index in range(700)}
        found = read_archive(saved(tmp_path, held))
        assert [float(tensor[2]) for tensor in found.values()] == [float(index) for index in range(700)]


class Runs:
    """Unpickling this creates a folder, which stands for anything that code could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.path),)


class TestLeftToTorch:
    def test_code_is_not_run(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"w": torch.ones(1), "args": Runs(tmp_path / "proof")})
        with pytest.raises(NotPlainError, match="mkdir"):
            read_archive(path)
        assert not (tmp_path / "proof").exists()

    @pytest.mark.parametrize(
        "value", [torch.eye(3).to_sparse(), torch.ones(2, dtype=torch.complex64), torch.Size([1]), torch.float32]
    )
    @pytest.mark.filterwarnings("ignore:Validating sparse")
    def test_other_values(self, tmp_path: Path, value: Any) -> None:
        path = saved(tmp_path, {"w": torch.ones(1), "other": value})
        with pytest.raises(NotPlainError):
            read_archive(path)
        torch.load(path, weights_only=True)

    def test_another_byte_order(self, tmp_path: Path) -> None:
        path = repacked(saved(tmp_path, {"w": torch.ones(1)}), {"byteorder": b"big"})
        with pytest.raises(NotPlainError, match="order"):
            read_archive(path)

    def test_a_tensor_that_ends_behind_its_storage(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"w": torch.arange(5.0)})
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read("w/data.pkl")
        # the shape (5,) is the byte 5 after its instruction, and made into a tuple of one
        changed = pickled.replace(b"K\x05\x85", b"K\x06\x85")
        assert changed != pickled
        bad = repacked(path, {"data.pkl": changed})
        with pytest.raises(NotPlainError, match="ends behind its storage"):
            read_archive(bad)
        with pytest.raises(WeightsError):
            read_state_dict(bad)

    def test_a_record_that_is_too_short(self, tmp_path: Path) -> None:
        path = repacked(saved(tmp_path, {"w": torch.arange(5.0)}), {"data/0": b"\0" * 8})
        with pytest.raises(NotPlainError, match="too short"):
            read_archive(path)

    def test_every_single_damaged_byte_of_the_pickle(self, tmp_path: Path) -> None:
        path = saved(tmp_path, OrderedDict(w=torch.ones(2), b=torch.zeros(1)))
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read("w/data.pkl")
        for place in range(len(pickled)):
            changed = pickled[:place] + bytes([pickled[place] ^ 0x11]) + pickled[place + 1 :]
            try:
                read_archive(repacked(path, {"data.pkl": changed}))
            except NotPlainError:
                continue


class TestPickles:
    @pytest.mark.parametrize(
        "value", [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**200, 1.5, "", "x" * 300, None]
    )
    def test_values_as_pythons_own_reader_gives_them(self, value: Any) -> None:
        held = {"a": [value], "b": (value, value), "c": {"d": value}}
        assert values_of(pickle.dumps(held, 2), {}, nothing) == held

    def test_one_object_stays_one(self) -> None:
        inner: list[int] = [1]
        first, second = values_of(pickle.dumps([inner, inner], 2), {}, nothing)
        assert first is second

    def test_nothing_but_given_functions_is_called(self) -> None:
        called: list[Any] = []
        asks = b"\x80\x02cos\nmkdir\nX\x01\x00\x00\x00x\x85R."
        with pytest.raises(NotPlainError, match="it asks for os mkdir"):
            values_of(asks, {"os makedirs": Function(called.append)}, nothing)
        values_of(asks, {"os mkdir": Function(called.append)}, nothing)
        assert called == ["x"]

    def test_what_is_no_function_is_not_called(self) -> None:
        with pytest.raises(NotPlainError, match="no function"):
            values_of(b"\x80\x02ca\nb\n)R.", {"a b": dict}, nothing)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x80\x02",
            b"\x80\x04N.",
            b"\x80\x02NN.",
            b"\x80\x02(N.",
            b"\x80\x02t.",
            b"\x80\x02\x87.",
            b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"x.",
            b"\x80\x02Nq",
            b"\x80\x02h\x07.",
            b"\x80\x02]NNs.",
            b"\x80\x02}N\x93.",
            b"\x80\x02}}b.",
        ],
    )
    def test_damaged_ones_are_refused(self, data: bytes) -> None:
        with pytest.raises(NotPlainError):
            values_of(data, {}, nothing)
