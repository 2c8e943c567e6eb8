from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from registry.errors import MissingExtraError, WeightsError
from registry.weights import read_metadata, read_state_dict

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

SAVE_AGAIN = "save model.state_dict() with torch.save or as safetensors"
NOT_TENSORS = f"give a file of tensors: {SAVE_AGAIN}"
RUNS = "which cannot be read without running what it holds"
WRAPS = (
    "a state dict maps names to tensors, alone or under one of `model`, `state_dict`, `model_state_dict`, `model_ema`"
)


def tensors() -> dict[str, Any]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([7, 8]), "half": torch.ones(2).half()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_state_dict(path)
    return str(caught.value)


def saved(folder: Path, held: Any, **options: Any) -> Path:
    path = folder / "w.pth"
    torch.save(held, path, **options)
    return path


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


class Touches:
    """Unpickling this creates a folder, which stands for anything that code could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.path),)


class TestReading:
    def test_safetensors(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(tensors(), path)
        found = read_state_dict(path)
        assert_same({name: found[name] for name in tensors()}, tensors())
        assert len(found) == len(tensors())

    @pytest.mark.parametrize("name", ["w.pth", "w.pt"])
    def test_what_torch_saves(self, tmp_path: Path, name: str) -> None:
        torch.save(tensors(), tmp_path / name)
        assert_same(read_state_dict(tmp_path / name), tensors())

    def test_what_torch_saved_in_its_old_format(self, tmp_path: Path) -> None:
        assert_same(read_state_dict(saved(tmp_path, tensors(), _use_new_zipfile_serialization=False)), tensors())

    def test_what_torch_saved_and_someone_compressed(self, tmp_path: Path) -> None:
        path = tmp_path / "packed.pth"
        with (
            zipfile.ZipFile(saved(tmp_path, tensors())) as old,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in old.namelist():
                new.writestr(name, old.read(name))
        assert_same(read_state_dict(path), tensors())

    def test_a_change_to_a_tensor_leaves_the_file_alone(self, tmp_path: Path) -> None:
        path = saved(tmp_path, tensors())
        before = path.read_bytes()
        read_state_dict(path)["a.weight"].zero_()
        assert path.read_bytes() == before

    @pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
    def test_quantized_tensors(self, tmp_path: Path) -> None:
        quantized = torch.quantize_per_tensor(torch.ones(3), 0.5, 0, torch.qint8)
        found = read_state_dict(saved(tmp_path, {"q": quantized}))
        assert found["q"].is_quantized
        assert torch.equal(found["q"].dequantize(), torch.ones(3))

    @pytest.mark.filterwarnings("ignore:Validating sparse")
    def test_sparse_tensors(self, tmp_path: Path) -> None:
        found = read_state_dict(saved(tmp_path, {"s": torch.eye(3).to_sparse()}))
        assert torch.equal(found["s"].to_dense(), torch.eye(3))

    def test_parameters(self, tmp_path: Path) -> None:
        path = saved(tmp_path, dict(torch.nn.Linear(2, 1).named_parameters()))
        assert list(read_state_dict(path)) == ["weight", "bias"]

    def test_the_versions_of_modules_stay(self, tmp_path: Path) -> None:
        state = torch.nn.Sequential(torch.nn.BatchNorm2d(1)).state_dict()
        found: Any = read_state_dict(saved(tmp_path, state))
        assert found._metadata == {"": {"version": 1}, "0": {"version": 2}}

    def test_importing_imports_neither_torch_nor_safetensors(self) -> None:
        code = (
            "import sys, registry.weights, registry.weights.download, registry.weights.hub\n"
            "heavy = ('torch', 'torchvision', 'safetensors', 'huggingface_hub')\n"
            "print([name for name in heavy if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"

    @pytest.mark.parametrize(
        ("name", "package"), [("w.pth", "torch"), ("w.safetensors", "safetensors.torch")], ids=["torch", "safetensors"]
    )
    def test_a_missing_package_names_its_extra(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, package: str
    ) -> None:
        save_file(tensors(), tmp_path / "w.safetensors")
        torch.save(tensors(), tmp_path / "w.pth")
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError) as caught:
            read_state_dict(tmp_path / name)
        needed = package.partition(".")[0]
        assert str(caught.value) == (
            f"reading {name} needs the package `{needed}`; install it with: pip install 'vision-registry[torch]'"
        )


class TestCheckpoints:
    @pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "model_ema"])
    def test_a_wrapped_state_dict_is_found(self, tmp_path: Path, key: str) -> None:
        path = saved(tmp_path, {"epoch": 3, key: tensors(), "optimizer": {"state": {0: torch.ones(1)}}})
        assert_same(read_state_dict(path), tensors())

    def test_the_plain_model_is_preferred_to_the_averaged_one(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"model_ema": {"x": torch.zeros(1)}, "model": tensors()})
        assert_same(read_state_dict(path), tensors())

    def test_a_key_that_holds_no_state_dict_does_not_count(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"model": "net", "state_dict": tensors()})
        assert_same(read_state_dict(path), tensors())

    def test_a_state_dict_may_have_tensors_of_these_names(self, tmp_path: Path) -> None:
        state = {"model": torch.ones(1), "state_dict": torch.zeros(1)}
        assert_same(read_state_dict(saved(tmp_path, state)), state)

    def test_the_prefix_of_a_parallel_model_is_stripped(self, tmp_path: Path) -> None:
        state = OrderedDict((f"module.{name}", tensor) for name, tensor in tensors().items())
        assert_same(read_state_dict(saved(tmp_path, {"model": state})), tensors())

    def test_the_versions_of_a_parallel_models_modules_lose_the_prefix_too(self, tmp_path: Path) -> None:
        model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.BatchNorm2d(1)))
        found: Any = read_state_dict(saved(tmp_path, model.state_dict()))
        assert next(iter(found)) == "0.weight"
        assert found._metadata == {"": {"version": 1}, "0": {"version": 2}}

    def test_a_prefix_that_is_not_everywhere_stays(self, tmp_path: Path) -> None:
        state = {"module.a": torch.ones(1), "b": torch.ones(1)}
        assert_same(read_state_dict(saved(tmp_path, state)), state)

    def test_an_averaged_model_loses_its_count_and_prefix(self, tmp_path: Path) -> None:
        averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 1))
        path = saved(tmp_path, {"model_ema": averaged.state_dict()})
        assert list(read_state_dict(path)) == ["weight", "bias"]

    def test_several_state_dicts_are_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"model": tensors(), "state_dict": tensors()})
        assert refusal(path) == (
            f"{path} holds several state dicts, under `model`, `state_dict`; save the one you mean alone"
        )

    @pytest.mark.parametrize(
        ("held", "kind"), [([1], "a list"), (3, "an int"), (None, "a NoneType")], ids=["list", "int", "none"]
    )
    def test_something_that_is_no_mapping_is_refused(self, tmp_path: Path, held: Any, kind: str) -> None:
        path = saved(tmp_path, held)
        assert refusal(path) == f"{path} holds {kind}, not a state dict; {SAVE_AGAIN}"

    def test_a_lone_tensor_is_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path, torch.ones(1))
        assert refusal(path) == f"{path} holds a Tensor, not a state dict; {SAVE_AGAIN}"

    @pytest.mark.parametrize(
        ("held", "problem"),
        [
            ({}, "it is empty"),
            ({"epoch": 3}, "`epoch` is an int"),
            ({1: 2}, "the key 1 is an int, `1` is an int"),
            ({"a": 1, "b": "x", "c": [], "d": {}, "e": 1.0}, "`a` is an int, `b` is a str, `c` is a list and 2 more"),
        ],
        ids=["empty", "number", "key", "many"],
    )
    def test_values_that_are_no_tensors_are_named(self, tmp_path: Path, held: Any, problem: str) -> None:
        path = saved(tmp_path, held)
        assert refusal(path) == f"{path} holds no state dict: {problem}; {WRAPS}"

    def test_a_key_that_is_no_string_is_named(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {"a": torch.ones(1), 2: torch.ones(1)})
        assert refusal(path) == f"{path} holds no state dict: the key 2 is an int; {WRAPS}"

    @pytest.mark.parametrize(
        ("inner", "problem"),
        [({7: None}, "the key 7 is an int, `7` is a NoneType"), ({"w": 1}, "`w` is an int"), ({}, "it is empty")],
        ids=["key", "value", "empty"],
    )
    def test_what_is_wrong_with_a_wrapped_state_dict_is_named(self, tmp_path: Path, inner: Any, problem: str) -> None:
        path = saved(tmp_path, {"model": inner, "epoch": 1})
        assert refusal(path) == f"{path} holds no state dict: under `model`, {problem}"

    def test_safetensors_without_a_tensor_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file({}, path)
        assert refusal(path) == f"{path} holds no state dict: it is empty; {WRAPS}"


class TestCode:
    @pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
    def test_a_checkpoint_that_holds_code_is_refused_and_the_code_is_not_run(
        self, tmp_path: Path, options: dict[str, Any]
    ) -> None:
        proof = tmp_path / "proof"
        path = saved(tmp_path, {"model": tensors(), "args": Touches(proof)}, **options)
        function = f"{Touches(proof).__reduce__()[0].__module__}.mkdir"
        assert refusal(path) == (
            f"{path} holds more than tensors: it asks for {function}, which could run code, so nothing was read; "
            f"if you trust it, load it yourself and {SAVE_AGAIN}"
        )
        assert not proof.exists()

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_a_bare_pickle_is_refused_and_not_run(self, tmp_path: Path, protocol: int) -> None:
        proof = tmp_path / "proof"
        path = written(tmp_path, "w.pt", pickle.dumps(Touches(proof), protocol))
        assert refusal(path) == (
            f"{path} is a pickle that torch.save did not write, {RUNS}; "
            f"if you trust it, load it yourself and {SAVE_AGAIN}"
        )
        assert not proof.exists()
        pickle.loads(path.read_bytes())
        assert proof.exists(), "the pickle would not have proved anything"

    def test_a_bare_pickle_of_the_first_protocol_is_text_and_not_run(self, tmp_path: Path) -> None:
        proof = tmp_path / "proof"
        path = written(tmp_path, "w.pth", pickle.dumps(Touches(proof), 0))
        assert refusal(path) == f"{path} is a text file; {NOT_TENSORS}"
        assert not proof.exists()

    def test_a_whole_saved_model_is_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path, torch.nn.Linear(1, 1))
        assert refusal(path) == (
            f"{path} holds more than tensors: it asks for torch.nn.modules.linear.Linear, which could run code, so "
            f"nothing was read; if you trust it, load it yourself and {SAVE_AGAIN}"
        )

    def test_a_torchscript_archive_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pt"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
                archive.writestr(f"net/{name}", "x")
        assert refusal(path) == (
            f"{path} is a TorchScript archive, which holds a program; if you trust it, load it with torch.jit.load "
            f"yourself and {SAVE_AGAIN}"
        )

    def test_torchs_oldest_format_is_refused(self, tmp_path: Path) -> None:
        inner = written(tmp_path, "storages", pickle.dumps(1))
        path = tmp_path / "w.pth"
        with tarfile.open(path, "w") as archive:
            archive.add(inner, "storages")
        assert refusal(path) == (
            f"{path} is a tar archive, torch.save's oldest format, {RUNS}; if you trust it, load it yourself and "
            f"{SAVE_AGAIN}"
        )


class TestDamage:
    @pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
    def test_a_file_of_torchs_that_was_cut_short(self, tmp_path: Path, kept: float) -> None:
        content = saved(tmp_path, {"a": torch.zeros(5000)}).read_bytes()
        path = written(tmp_path, "cut.pth", content[: int(len(content) * kept)])
        assert refusal(path) == f"{path} is cut short or damaged: its zip archive has no end; fetch or save it again"

    def test_a_file_of_torchs_old_format_that_was_cut_short(self, tmp_path: Path) -> None:
        whole = saved(tmp_path, {"a": torch.zeros(5000)}, _use_new_zipfile_serialization=False).read_bytes()
        path = written(tmp_path, "cut.pth", whole[:-4000])
        assert refusal(path) == (
            f"{path} cannot be read (unexpected EOF, expected 4000 more bytes); if it was cut short or damaged, "
            "fetch or save it again"
        )

    def test_a_file_of_torchs_old_format_that_was_cut_very_short(self, tmp_path: Path) -> None:
        whole = saved(tmp_path, {"a": torch.zeros(5000)}, _use_new_zipfile_serialization=False).read_bytes()
        path = written(tmp_path, "cut.pth", whole[:100])
        assert (
            refusal(path) == f"{path} cannot be read (EOFError); if it was cut short or damaged, fetch or save it again"
        )

    @pytest.mark.parametrize("missing", [1, 19_000])
    def test_safetensors_that_were_cut_short(self, tmp_path: Path, missing: int) -> None:
        save_file({"a": torch.zeros(5000)}, tmp_path / "w.safetensors")
        whole = (tmp_path / "w.safetensors").read_bytes()
        path = written(tmp_path, "cut.safetensors", whole[:-missing])
        assert refusal(path) == (
            f"{path} was cut short: it has {len(whole) - missing} of {len(whole)} bytes; fetch or save it again"
        )

    def test_safetensors_with_something_behind(self, tmp_path: Path) -> None:
        save_file({"a": torch.zeros(5)}, tmp_path / "w.safetensors")
        whole = (tmp_path / "w.safetensors").read_bytes()
        path = written(tmp_path, "long.safetensors", whole + b"more")
        assert refusal(path) == (f"{path} is damaged: it has {len(whole) + 4} bytes, its header speaks of {len(whole)}")

    @pytest.mark.parametrize(
        "entry", [1, {}, {"data_offsets": []}, {"data_offsets": [0, "x"]}, {"data_offsets": [0, float("inf")]}]
    )
    def test_safetensors_whose_header_has_no_offsets(self, tmp_path: Path, entry: object) -> None:
        header = json.dumps({"a": entry}).encode()
        path = written(tmp_path, "w.safetensors", len(header).to_bytes(8, "little") + header)
        assert refusal(path) == f"{path} is damaged: its header does not say where each tensor lies"

    def test_safetensors_that_the_library_refuses(self, tmp_path: Path) -> None:
        header = json.dumps({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}).encode()
        path = written(tmp_path, "w.safetensors", len(header).to_bytes(8, "little") + header + b"\0" * 4)
        message = refusal(path)
        assert message.startswith(f"{path} cannot be read (")
        assert message.endswith("); if it was cut short or damaged, fetch or save it again")

    @pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty; fetch or save it again"),
            ("just some words, été\n".encode() * 500, f"is a text file; {NOT_TENSORS}"),
            (
                b"<!DOCTYPE html><html>sign in</html>",
                "is a web page; fetch the weights file itself, not the page that offers it",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
                "is a Git LFS pointer, which stands for a file that was not fetched; run `git lfs pull` where it "
                "comes from",
            ),
        ],
        ids=["empty", "text", "page", "pointer"],
    )
    def test_what_is_no_weights_file_at_all(self, tmp_path: Path, name: str, content: bytes, said: str) -> None:
        path = written(tmp_path, name, content)
        assert refusal(path) == f"{path} {said}"

    def test_bytes_that_mean_nothing(self, tmp_path: Path) -> None:
        path = written(tmp_path, "w.pth", bytes(range(256)) * 10)
        assert refusal(path) == f"{path} holds nothing that is known, or is cut short; {NOT_TENSORS}"

    def test_another_zip_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("photo.txt", "x")
        assert refusal(path) == f"{path} is a zip archive that torch.save did not write; {NOT_TENSORS}"

    def test_safetensors_under_a_name_of_torchs(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        save_file(tensors(), path)
        assert refusal(path) == (
            f"{path} holds safetensors, not what torch.save writes; rename it to end in .safetensors"
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [({}, ""), ({"_use_new_zipfile_serialization": False}, " in its old format")],
        ids=["zip", "legacy"],
    )
    def test_a_file_of_torchs_under_a_name_of_safetensors(
        self, tmp_path: Path, options: dict[str, Any], said: str
    ) -> None:
        path = saved(tmp_path, tensors(), **options).rename(tmp_path / "w.safetensors")
        assert refusal(path) == f"{path} was written by torch.save{said}, not safetensors; rename it to end in .pth"

    def test_a_name_that_says_nothing(self, tmp_path: Path) -> None:
        path = saved(tmp_path, tensors()).rename(tmp_path / "w.bin")
        assert refusal(path) == (f"{path}: weights files end in .safetensors, .pth, .pt; rename it to say which it is")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        assert refusal(path) == f"cannot read {path}: No such file or directory"

    def test_a_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        path.mkdir()
        assert refusal(path) == f"cannot read {path}: Is a directory"


class TestMetadata:
    def refusal(self, path: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            read_metadata(path)
        return str(caught.value)

    def test_is_what_was_saved(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(tensors(), path, {"classes": "cat\ndog", "é": "ü"})
        assert read_metadata(path) == {"classes": "cat\ndog", "é": "ü"}

    def test_is_empty_when_none_was_saved(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(tensors(), path)
        assert read_metadata(path) == {}

    def test_needs_neither_torch_nor_safetensors(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(tensors(), path, {"a": "b"})
        code = (
            "import sys, pathlib, registry.weights\n"
            "sys.modules['torch'] = sys.modules['safetensors'] = None\n"
            "print(registry.weights.read_metadata(pathlib.Path(sys.argv[1])))"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert done.stdout == "{'a': 'b'}\n"

    def test_of_a_file_that_is_too_short(self, tmp_path: Path) -> None:
        path = written(tmp_path, "w.safetensors", b"\x01\0\0")
        assert self.refusal(path) == f"{path} is no safetensors file, or was cut short: it has only 3 bytes"

    def test_of_a_file_that_ends_in_its_header(self, tmp_path: Path) -> None:
        path = written(tmp_path, "w.safetensors", (500).to_bytes(8, "little") + b"{}")
        assert self.refusal(path) == (
            f"{path} was cut short: its header has 500 bytes, of which 2 are there; fetch or save it again"
        )

    def test_of_a_file_that_announces_more_than_the_format_allows(self, tmp_path: Path) -> None:
        path = written(tmp_path, "w.safetensors", (100_000_001).to_bytes(8, "little") + b"{}")
        assert self.refusal(path) == (
            f"{path} is no safetensors file: it announces a header of 100000001 bytes, the format allows 100000000"
        )

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            (b"{nope", "is no safetensors file, or is damaged: its header is not JSON"),
            (b'{"a": "\xff"}', "is no safetensors file, or is damaged: its header is not JSON"),
            (b"[" * 100_000, "is no safetensors file, or is damaged: its header is not JSON"),
            (b"[]", "is no safetensors file, or is damaged: its header is not a JSON object"),
            (
                b'{"__metadata__": {"a": 1}}',
                "is damaged: `__metadata__` in its header is not a mapping of strings to strings",
            ),
            (
                b'{"__metadata__": null}',
                "is damaged: `__metadata__` in its header is not a mapping of strings to strings",
            ),
        ],
        ids=["json", "utf8", "deep", "list", "number", "null"],
    )
    def test_of_a_header_that_is_damaged(self, tmp_path: Path, header: bytes, said: str) -> None:
        path = written(tmp_path, "w.safetensors", len(header).to_bytes(8, "little") + header)
        assert self.refusal(path) == f"{path} {said}"

    def test_of_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        assert self.refusal(path) == f"cannot read {path}: No such file or directory"
