"""Files that were altered: nothing in them is run, and what was changed is told."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from registry_export import archives, flow
from registry_export.specs import OnnxSpec, TorchExportSpec, TorchScriptSpec
from torch import nn

import registry
from registry.artefacts import KEY, Artefact, describe
from registry.cli.group import cli


def load(path: Path) -> Any:
    return registry.default_registry().load_artefact(path)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def pickled(thing: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def altered(program: Path, path: Path, change: Callable[[str, bytes], bytes], **more: bytes) -> Path:
    """A copy of an archive with changed members, and more."""
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        root = old.namelist()[0].partition("/")[0]
        for name, data in more.items():
            new.writestr(f"{root}/{name}", data)
    return path


@pytest.fixture
def program(written: Callable[[str], Any]) -> Path:
    """A file of torch.export."""
    path: Path = written("torch-export").path
    return path


def test_a_copy_with_nothing_changed_loads(program: Path, tmp_path: Path) -> None:
    assert load(altered(program, tmp_path / "m.pt2", lambda _, data: data)).artefact.target == "torch-export"


def test_pickled_code_is_not_run(program: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = pickled(((Touch(marker),), {}))

    def sample(name: str, data: bytes) -> bytes:
        return code if "/sample_inputs/" in name else data

    with pytest.raises(registry.RegistryError, match=r"sample_inputs/model.pt`: it holds more than tensors"):
        load(altered(program, tmp_path / "m.pt2", sample))

    def weight(name: str, data: bytes) -> bytes:
        if name.endswith("weights/weight_0"):
            return code
        if not name.endswith("weights_config.json"):
            return data
        listed = json.loads(data)
        for entry in listed["config"].values():
            entry["use_pickle"] |= entry["path_name"] == "weight_0"
        return json.dumps(listed).encode()

    with pytest.raises(registry.RegistryError, match=r"weights/weight_0`: it holds more than tensors"):
        load(altered(program, tmp_path / "m.pt2", weight))

    def unnamed(name: str, data: bytes) -> bytes:
        return code if "/sample_inputs/" in name else b"" if f"extra/{KEY}" in name else data

    with pytest.raises(registry.RegistryError, match="has no metadata"):
        load(altered(program, tmp_path / "m.pt2", unnamed))
    assert not marker.exists()


def test_members_that_hide_behind_others_are_refused(program: Path, tmp_path: Path) -> None:
    code = pickled(((Touch(tmp_path / "ran"),), {}))

    def sample(name: str, data: bytes) -> bytes:
        return code if "/sample_inputs/" in name else data

    hidden = altered(program, tmp_path / "m.pt2", sample)
    with zipfile.ZipFile(hidden, "a") as packed:
        packed.writestr("other/data/sample_inputs/model.pt", pickled(((torch.zeros(1),), {})))
    with pytest.raises(registry.RegistryError, match="holds a member twice"):
        load(hidden)
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(tmp_path / "n.pt2", "w") as new:
        for name in old.namelist():
            large = "/sample_inputs/" in name
            new.writestr(name.replace("model.pt", "MODEL.PT") if large else name, code if large else old.read(name))
    with pytest.raises(registry.RegistryError, match=r"a name that torch\.export does not write"):
        load(tmp_path / "n.pt2")
    assert not (tmp_path / "ran").exists()


def test_objects_libraries_and_expressions_are_refused(program: Path, tmp_path: Path) -> None:
    def constants(name: str, data: bytes) -> bytes:
        if not name.endswith("constants_config.json"):
            return data
        return json.dumps({"config": {"c": {"path_name": "opaque_obj_0", "use_pickle": True}}}).encode()

    with pytest.raises(registry.RegistryError, match="`opaque_obj_0`: an object that is no tensor"):
        load(altered(program, tmp_path / "m.pt2", constants))
    shared = {"data/aotinductor/model/x.so": b"\x7fELF"}
    library = altered(program, tmp_path / "l.pt2", lambda _, data: data, **shared)
    with pytest.raises(registry.RegistryError, match="which torch would run as it loads the file"):
        load(library)

    def expression(name: str, data: bytes) -> bytes:
        return (
            data.replace(b'"range_constraints": {', b'"range_constraints": {"exec(1)": {}, ')
            if "/models/" in name
            else data
        )

    with pytest.raises(registry.RegistryError, match="an expression in it is no size"):
        load(altered(program, tmp_path / "m.pt2", expression))


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("s85", True),
        ("8*s0 - 1", True),
        ("Max(1, FloorDiv(s3, 2))", True),
        ("Add(Mul(Integer(2), Symbol('s0', positive=True, integer=True)), Integer(-1))", True),
        ("__import__('os').system('true')", False),
        ("s0.__class__", False),
        ("().append", False),
        ("exec(s0)", False),
        ("lambda: s0", False),
        ("[s0]", False),
        ("'os'", False),
    ],
)
def test_only_sizes_are_evaluated(text: str, fine: bool) -> None:
    assert archives.is_size(text) is fine


def test_what_would_unpack_to_far_more_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt2", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("metadata.json", bytes(80 * 2**20))
    assert (tmp_path / "m.pt2").stat().st_size < 2**20
    with pytest.raises(registry.RegistryError, match=r"would unpack to more than 64 MiB"):
        load(tmp_path / "m.pt2")


def test_weights_that_changed_are_told(program: Path, tmp_path: Path) -> None:
    data = bytearray(program.read_bytes())
    with zipfile.ZipFile(program) as packed:
        entry = next(each for each in packed.infolist() if each.filename.endswith("weights/weight_0"))
        place = data.find(packed.read(entry))
    data[place] ^= 0x40
    (tmp_path / "m.pt2").write_bytes(data)
    with pytest.raises(registry.RegistryError, match=r"m.pt2 cannot be read: Bad CRC-32 .* damaged"):
        load(tmp_path / "m.pt2")


def test_onnx_weights_that_changed_and_those_elsewhere_are_told(written: Callable[[str], Any], tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    path = written("onnx").path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(registry.RegistryError, match=r"m.onnx (is damaged or was changed|is no ONNX model)"):
        load(tmp_path / "m.onnx")
    found = onnx.load(path)
    found.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    text = next(entry.value for entry in found.metadata_props if entry.key == KEY)
    artefact = json.loads(text)
    artefact["files"] = {}
    changed = Artefact(**{key: artefact[key] for key in artefact if key not in ("format", "version", "digest")})
    next(entry for entry in found.metadata_props if entry.key == KEY).value = changed.to_text()
    (tmp_path / "m.onnx").write_bytes(found.SerializeToString())
    with pytest.raises(registry.RegistryError, match="has tensors in other files, which are not read"):
        load(tmp_path / "m.onnx")


class Saves(nn.Module):
    """Writes a file as it runs."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, self.path)
        return images


def test_code_that_reaches_files_is_not_run(classifier: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    text = describe(classifier, TorchScriptSpec(), takes="batch", shape=(1, 3, 64, 64)).to_text()
    torch.jit.save(torch.jit.script(Saves(str(mine))), tmp_path / "m.ts", _extra_files={KEY: text})
    with pytest.raises(registry.RegistryError, match="it calls `save`, which reaches files"):
        load(tmp_path / "m.ts")
    assert mine.read_text() == "mine"


def test_shapes_that_are_none_are_told(classifier: Any) -> None:
    good = describe(classifier, TorchExportSpec(), takes="batch", shape=(1, 3, 64, 64))
    for shape in ((1, 3, -64, 64), (1, 3, 64), ()):
        told = describe(classifier, TorchExportSpec(), takes="batch", shape=shape).to_text()
        with pytest.raises(registry.RegistryError, match="its metadata lacks what it must hold"):
            Artefact.from_text(told, "m.pt2")
    assert Artefact.from_text(good.to_text(), "m.pt2").shape == (1, 3, 64, 64)


def test_a_file_that_cannot_be_written_again_is_told(program: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(program), "--target", "torch-export", "-o", str(tmp_path / "m.pt2")])
    assert "is a file of the target `torch-export` already, which cannot be written again" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_names_of_folders_and_pictures_are_refused(tmp_path: Path) -> None:
    picture = tmp_path / "m.onnx"
    picture.write_bytes(b"a picture")
    words = ["export", "mobilenet_v3_small", "--target", "onnx", "--random-weights", "-o"]
    for name in (".", ""):
        done = CliRunner().invoke(cli, [*words, name])
        assert "is a folder; name a file in it that ends in .onnx" in str(done.exception)
    done = CliRunner().invoke(cli, [*words, str(picture), "--image", str(picture)])
    assert done.exit_code == 2
    assert "is an image to verify on, and would be replaced" in done.output
    assert picture.read_bytes() == b"a picture"


def test_a_file_where_a_part_of_a_pair_goes_is_kept(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_text("mine")
    with pytest.raises(registry.RegistryError, match=r"m.bin, where a part of m.xml goes, is another file"):
        flow.check_companions(tmp_path / "m.xml", (".bin",))
    (tmp_path / "m.xml").write_text("its other half")
    flow.check_companions(tmp_path / "m.xml", (".bin",))
    (tmp_path / "n.bin").mkdir()
    with pytest.raises(registry.RegistryError, match="is a folder"):
        flow.check_companions(tmp_path / "n.xml", (".bin",))


def test_a_pair_that_cannot_be_placed_leaves_the_old_one(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    draft.mkdir()
    for name in ("m.bin", "m.xml"):
        (draft / name).write_text("new")
    (tmp_path / "m.xml").write_text("old")
    (tmp_path / "m.bin").mkdir()
    with pytest.raises(registry.RegistryError, match="cannot be written"):
        flow._place([draft / "m.bin", draft / "m.xml"], tmp_path / "m.xml")
    assert (tmp_path / "m.xml").read_text() == "old"
    (tmp_path / "m.bin").rmdir()
    flow._place([draft / "m.bin", draft / "m.xml"], tmp_path / "m.xml")
    assert (tmp_path / "m.xml").read_text() == "new"
    assert (tmp_path / "m.bin").read_text() == "new"


def test_answers_that_differ_are_told(classifier: Any, photos: list[Path], tmp_path: Path) -> None:
    """A file whose numbers are near enough, and which answers with the second class."""
    from registry_export.verify import Verifier

    task = registry.default_registry().task(classifier.spec)

    class Second(nn.Module):
        artefact = describe(classifier, OnnxSpec(), takes="batch", shape=(1, 3, 64, 64))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = classifier(images).clone()
            first, second = found.topk(2, dim=1).values.unbind(1)
            found[torch.arange(len(found)), found.argmax(1)] -= first - second + 0.001
            return found

    inputs = [(photo.name, task.preprocess(_read(photo))) for photo in photos]
    with pytest.raises(registry.RegistryError, match=r"answers otherwise than the model on .*export.agreement"):
        Verifier(OnnxSpec(tolerance=1.0), classifier, task).run(Second(), inputs, inputs[0][1], lambda: Second())
    Verifier(OnnxSpec(tolerance=1.0, agreement=0.0), classifier, task).run(
        Second(), inputs, inputs[0][1], lambda: Second()
    )


def _read(path: Path) -> Any:
    from registry.images import read_image

    return read_image(path)
