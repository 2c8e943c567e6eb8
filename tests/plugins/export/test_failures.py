"""What goes wrong: nothing half-written stays, and each error says what to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_export import flow, programs
from registry_export.specs import ExecuTorchSpec, OnnxSpec, OpenVINOSpec, TorchExportSpec
from torch import nn

import registry
from registry.artefacts import KEY


def exported(model: Any, target: str, path: Path, photos: list[Path], *settings: str) -> flow.Exported:
    made = registry.default_registry()
    return flow.exported(made, model, flow.target_spec(made, target, settings), path, images=photos)


@pytest.fixture
def program(written: Callable[[str], Any]) -> Path:
    """A file of torch.export."""
    path: Path = written("torch-export").path
    return path


def load(path: Path) -> Any:
    return registry.default_registry().load_artefact(path)


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_a_file_that_answers_otherwise_is_not_left_and_the_old_one_stays(
    classifier: Any, tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"old")

    class Other(nn.Module):
        spec = classifier.spec

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return classifier(x) + 0.1

    right = programs.traced
    monkeypatch.setattr(programs, "traced", lambda spec, _, fed: right(spec, Other(), fed))
    with pytest.raises(registry.RegistryError, match=r"differs from the model on photo0.png: by 0\.1, a share of"):
        exported(classifier, "torch-export", path, photos)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", ["/proc", "/sys"])
def test_a_folder_that_cannot_be_written_is_told(classifier: Any, photos: list[Path], folder: str) -> None:
    if not Path(folder).is_dir():
        pytest.skip(f"there is no {folder}")
    with pytest.raises(registry.RegistryError, match=f"{folder} cannot be written"):
        exported(classifier, "torch-export", Path(folder) / "model.pt2", photos)


def test_a_folder_that_is_not_there_is_told(classifier: Any, tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(registry.RegistryError, match="there is no folder"):
        exported(classifier, "torch-export", tmp_path / "no" / "model.pt2", photos)
    (tmp_path / "model.pt2").mkdir()
    with pytest.raises(registry.RegistryError, match="is a folder; name a file in it"):
        exported(classifier, "torch-export", tmp_path / "model.pt2", photos)


def test_a_file_of_another_suffix_is_refused(classifier: Any, tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(
        registry.RegistryError, match=r"files of the target `torch-export` end in .pt2; write `.*model.pt2`"
    ):
        exported(classifier, "torch-export", tmp_path / "model.onnx", photos)


SLOW_TARGET = """
import sys, time
from pathlib import Path
from registry_export.flow import draft
with draft(Path(sys.argv[1])) as folder:
    (folder / "model.pt2").write_bytes(b"half")
    print("started", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_process_that_is_killed_leaves_no_file_and_the_next_removes_what_it_left(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    process = subprocess.Popen([sys.executable, "-c", SLOW_TARGET, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with flow.draft(path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_draft_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f".model.pt2.{os.getppid()}.tmp"
    other.mkdir()
    with flow.draft(tmp_path / "model.pt2"):
        pass
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        (OnnxSpec(), "onnxscript", "onnx"),
        (OpenVINOSpec(), "openvino", "openvino"),
        (ExecuTorchSpec(), "executorch", "executorch"),
    ],
)
def test_a_package_that_is_missing_is_told_with_its_extra(
    spec: Any, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = flow.importlib.util.find_spec
    monkeypatch.setattr(flow.importlib.util, "find_spec", lambda name: None if name == package else right(name))
    with pytest.raises(registry.MissingExtraError) as caught:
        flow.check_installed(spec)
    assert str(caught.value) == (
        f"exporting to {spec.type} needs the package `{package}`; install it with: pip install 'vision-registry[{extra}]'"
    )


@pytest.mark.parametrize(("suffix", "package", "extra"), [(".onnx", "onnx", "onnx"), (".xml", "openvino", "openvino")])
def test_an_engine_that_is_missing_is_told_when_a_file_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, extra: str
) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"x")
    import importlib

    find = importlib.import_module
    monkeypatch.setattr(
        "registry_export.engines.importlib.import_module",
        lambda name: (_ for _ in ()).throw(ImportError(name)) if name == package else find(name),
    )
    with pytest.raises(registry.MissingExtraError, match=rf"pip install 'vision-registry\[{extra}\]'"):
        load(path)


def test_a_model_that_cannot_be_traced_is_told(classifier: Any, tmp_path: Path, photos: list[Path]) -> None:
    class Deciding(nn.Module):
        spec = classifier.spec

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))

    with pytest.raises(registry.RegistryError, match="`mobilenet_v3_small` cannot be exported to `torch-export`"):
        exported(Deciding(), "torch-export", tmp_path / "model.pt2", photos)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_images_without_parts_is_refused_with_the_rule(tmp_path: Path, photos: list[Path]) -> None:
    class Listing(nn.Module):
        spec = registry.load_spec("ssdlite320_mnv3_large")

        def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            return [{"boxes": torch.zeros(0, 4)} for _ in images]

    with pytest.raises(registry.RegistryError, match=r"its head `ssdlite` gives no parts .*\[REG461\]"):
        exported(Listing(), "torch-export", tmp_path / "model.pt2", photos)
    assert list(tmp_path.iterdir()) == []


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "package"), [(".pt2", "torch"), (".onnx", "onnx"), (".ts", "torch"), (".pte", "executorch")]
)
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and nothing else", bytes(range(256)) * 8])
def test_a_file_of_nonsense_is_told(tmp_path: Path, suffix: str, package: str, data: bytes) -> None:
    pytest.importorskip(package)
    (tmp_path / f"model{suffix}").write_bytes(data)
    told = {
        ".pt2": "is no file of torch.export",
        ".onnx": "is no ONNX model|model.onnx has no metadata",
        ".ts": "is no program of TorchScript",
    }
    with pytest.raises(
        registry.RegistryError, match=told.get(suffix, "is no program of ExecuTorch|cannot be read by ExecuTorch")
    ):
        load(tmp_path / f"model{suffix}")


def test_a_file_that_was_cut_short_is_told(program: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(program.read_bytes()[:-2000])
    with pytest.raises(registry.RegistryError, match="damaged"):
        load(tmp_path / "model.pt2")


def with_metadata(classifier: Any, path: Path, **changes: Any) -> Path:
    """A program whose metadata says something else."""
    exported_program = torch.export.export(classifier, (torch.zeros(1, 3, 64, 64),))
    text = json.dumps({"format": "vision-registry", "version": 1, **changes}) if changes else ""
    torch.export.save(exported_program, path, extra_files={KEY: text} if changes else {})
    return path


def test_a_file_of_another_program_and_one_of_a_newer_release_are_told(classifier: Any, tmp_path: Path) -> None:
    with pytest.raises(registry.RegistryError, match="has no metadata of a registry"):
        load(with_metadata(classifier, tmp_path / "foreign.pt2"))
    with pytest.raises(
        registry.RegistryError, match=r"newer.pt2 has format version 2, .* install a newer vision-registry"
    ):
        load(with_metadata(classifier, tmp_path / "newer.pt2", version=2))


def test_a_pair_is_whole_or_refused(written: Callable[[str], Any], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    for file in written("openvino").path.parent.iterdir():
        shutil.copy(file, tmp_path)
    path = tmp_path / "model.xml"
    weights = path.with_suffix(".bin")
    data = bytearray(weights.read_bytes())
    data[1000] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(registry.RegistryError, match=r"model.bin is damaged or of another export than model.xml"):
        load(path)
    weights.unlink()
    with pytest.raises(registry.RegistryError, match=r"model.xml has no weights: model.bin must lie beside it"):
        load(path)


# ---- targets against models ------------------------------------------------------------------------------------------


def test_axes_that_cannot_change_are_found_without_torch() -> None:
    code = (
        "import sys, registry; from registry_export.specs import OnnxSpec; "
        "spec = registry.load_spec('mobilenet_v3_small'); "
        "print([f.rule for f in OnnxSpec(dynamic=['batch', 'width']).check_model(spec)], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['REG462'] False"


@pytest.mark.parametrize(
    ("name", "dynamic", "rules"),
    [
        ("mobilenet_v3_small", ["batch"], []),
        ("mobilenet_v3_small", ["batch", "height", "width"], ["REG462", "REG462"]),
        ("lraspp_mobilenet_v3_large", ["batch", "height", "width"], []),
        ("fasterrcnn_mnv3_large_320_fpn", ["height", "width"], []),
        ("fasterrcnn_mnv3_large_320_fpn", ["batch"], ["REG462"]),
    ],
)
def test_which_axes_a_model_lets_change(name: str, dynamic: Any, rules: list[str]) -> None:
    spec = registry.load_spec(name)
    assert [finding.rule for finding in TorchExportSpec(dynamic=dynamic).check_model(spec)] == rules
