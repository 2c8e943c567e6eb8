"""Artefacts: the text that they carry, how one is recognised and loaded, and what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import types
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from torch import nn

import registry
from registry.artefacts import LONGEST, Artefact, is_artefact, model_spec, reading_for, suffixes
from registry.errors import ConflictError, PluginError, RegistryError, RegistryWarning
from registry.host import Registrar
from registry.specs import ExportSpec

TEXT = Artefact(
    target="plain",
    settings={"type": "plain"},
    spec={"name": "some", "kind": "model"},
    plugins={"some-plugin": "1.0"},
    categories=("cat", "dög"),
    takes="batch",
    shape=(1, 3, 8, 8),
    dynamic=("batch",),
    outputs={"dict": [["out", "tensor"]]},
    quantization={"type": "eight"},
    files={".bin": "00"},
)


class PlainSpec(ExportSpec):
    """A file of this test."""

    type: Literal["plain"] = "plain"
    suffix: ClassVar[str] = ".plain"


def write_nothing(*_: Any) -> None:
    """No test writes."""


def load_plain(path: Path) -> nn.Module:
    """What the file's one word asks for."""
    word = path.read_text(encoding="utf-8")
    if word == "fail":
        raise ValueError("bad magic\nand more")
    module = nn.Identity()
    module.artefact = replace(TEXT, plugins={"not-here": "9"} if word == "foreign" else {})  # type: ignore[assignment]
    return module


def plugin(load: Any = load_plain) -> Any:
    """A plugin with one export target."""
    made = types.ModuleType("plain")

    @registry.hookimpl
    def registry_parts(register: Registrar) -> None:
        register.export("plain", spec=PlainSpec, target=write_nothing, load=load)

    made.registry_parts = registry_parts  # type: ignore[attr-defined]
    return made


# ---- the text --------------------------------------------------------------------------------------------------------


def test_a_text_is_read_back_as_it_was() -> None:
    assert Artefact.from_text(TEXT.to_text(), "f") == TEXT
    assert Artefact.from_text(TEXT.to_text().encode(), "f").name == "some"


def test_the_digest_is_of_all_that_the_artefact_says() -> None:
    told = json.loads(TEXT.to_text())
    digest = told.pop("digest")
    del told["format"], told["version"]
    plain = json.dumps(told, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(plain.encode()).hexdigest() == TEXT.digest
    assert replace(TEXT, categories=("cat",)).digest != TEXT.digest
    assert replace(TEXT, size=5).digest == TEXT.digest


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(TEXT.to_text()), **values})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "f has no metadata of a registry"),
        ("", "f has no metadata of a registry"),
        ("{", "its metadata is no JSON; the file is damaged"),
        ("[" * 100_000, "its metadata is no JSON"),
        ("[]", "its metadata is not that of a registry"),
        (changed(format="other"), "its metadata is not that of a registry"),
        (changed(version=2), "f has format version 2, and this release reads versions up to 1; install a newer"),
        (changed(version="1"), "has no version"),
        (changed(version=True), "has no version"),
        (changed(version=0), "has no version"),
        (changed(target="other"), "was altered or damaged"),
        (changed(categories=["cat"]), "was altered or damaged"),
        (changed(digest="00"), "was altered or damaged"),
        (changed(shape="1"), "lacks what it must hold"),
        (changed(shape=[1.5]), "lacks what it must hold"),
        (changed(plugins={"a": 1}), "lacks what it must hold"),
        (changed(takes="all"), "lacks what it must hold"),
        (changed(spec=None), "lacks what it must hold"),
        (" " * (LONGEST + 1), f"has {LONGEST + 1} characters, of at most {LONGEST}"),
    ],
)
def test_a_text_that_is_not_whole_is_refused(text: str | None, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        Artefact.from_text(text, "f")


def test_a_text_without_a_field_is_refused() -> None:
    told = json.loads(TEXT.to_text())
    del told["outputs"]
    with pytest.raises(RegistryError, match="lacks what it must hold"):
        Artefact.from_text(json.dumps(told), "f")


def test_a_text_that_would_be_too_long_is_not_written() -> None:
    with pytest.raises(RegistryError, match="its metadata would be"):
        replace(TEXT, settings={"a": "x" * LONGEST}).to_text()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"45")
    assert TEXT.sized(tmp_path / "a", tmp_path / "b").size == 5


# ---- which files are artefacts ---------------------------------------------------------------------------------------


def test_a_path_is_an_artefact_by_the_suffix_of_a_target_that_loads() -> None:
    made = registry.Registry([plugin()])
    assert is_artefact(made, "a.plain")
    assert is_artefact(made, Path("A.PLAIN"))
    assert not is_artefact(made, "plain")
    assert not is_artefact(made, {"name": "a.plain"})
    assert not is_artefact(registry.Registry([plugin(load=None)]), "a.plain")
    assert list(suffixes(made.host)) == [".plain"]


def test_artefacts_are_recognised_without_torch() -> None:
    code = (
        "import sys; from registry import default_registry; from registry.artefacts import is_artefact; "
        "print(is_artefact(default_registry(), 'model.onnx'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"


def test_what_loads_must_be_a_target() -> None:
    with pytest.warns(RegistryWarning, match="load=5 is not of the form 'module:attribute'"):
        made = registry.Registry([plugin(load=5)])
    assert not is_artefact(made, "a.plain")


def test_the_hook_refuses_a_malformed_target() -> None:
    with pytest.raises(PluginError, match="load='nowhere'"):
        Registrar.local().export("plain", spec=PlainSpec, target=write_nothing, load="nowhere")


# ---- loading ---------------------------------------------------------------------------------------------------------


def test_a_registry_loads_a_file_with_the_target_of_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.plain").write_text("TEXT", encoding="utf-8")
    module = registry.Registry([plugin()]).load_artefact(tmp_path / "a.plain")
    assert (module.artefact, module.training) == (replace(TEXT, plugins={}), False)


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("a.plain", "fail", r"a.plain cannot be loaded: ValueError: bad magic; it may be damaged"),
        ("a.other", "TEXT", r"no export target loads `.other`; known are `.plain`"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told(tmp_path: Path, name: str, word: str, message: str) -> None:
    (tmp_path / name).write_text(word, encoding="utf-8")
    with pytest.raises(RegistryError, match=message):
        registry.Registry([plugin()]).load_artefact(tmp_path / name)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="there is no file"):
        registry.Registry([plugin()]).load_artefact(tmp_path / "a.plain")


def test_no_target_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.plain").touch()
    with pytest.raises(RegistryError, match="no plugin loads any"):
        registry.Registry([plugin(load=None)]).load_artefact(tmp_path / "a.plain")


def test_two_targets_of_one_suffix_are_a_conflict(tmp_path: Path) -> None:
    class OtherSpec(PlainSpec):
        type: Literal["other"] = "other"  # type: ignore[assignment]

    made = types.ModuleType("other")

    @registry.hookimpl
    def registry_parts(register: Registrar) -> None:
        register.export("other", spec=OtherSpec, target=write_nothing, load=load_plain)

    made.registry_parts = registry_parts  # type: ignore[attr-defined]
    (tmp_path / "a.plain").touch()
    with pytest.raises(ConflictError, match=r"several export targets load `.plain`: `plain` of .*, `other` of "):
        registry.Registry([plugin(), made]).load_artefact(tmp_path / "a.plain")


def test_a_plugin_that_is_not_here_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.plain").write_text("foreign", encoding="utf-8")
    with pytest.warns(RegistryWarning, match="made with the plugin not-here 9, which is not loaded here"):
        registry.Registry([plugin()]).load_artefact(tmp_path / "a.plain")


def test_the_spec_of_an_artefact_is_checked_by_the_registry_that_reads_it() -> None:
    made = registry.default_registry()
    spec = made.load_spec("mobilenet_v3_small")
    artefact = replace(TEXT, spec=json.loads(json.dumps(made.host.dump(spec))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with reading_for(made):
            assert model_spec(artefact, "f").digest() == spec.digest()
    with reading_for(registry.Registry([plugin()])), pytest.raises(RegistryError, match="unknown type of"):
        model_spec(artefact, "f")
