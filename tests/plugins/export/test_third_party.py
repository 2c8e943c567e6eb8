"""A target that another distribution brings, whose spec has none of the settings of the built-in ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from registry_export import flow, programs
from registry_export.specs import TorchExportSpec

import registry
from registry.errors import RegistryError
from registry.host import Registrar
from registry.registry import Registry
from registry.specs import ExportSpec


class BoxSpec(ExportSpec):
    """A program of torch under another suffix."""

    type: Literal["box"] = "box"
    suffix: ClassVar[str] = ".box"


def write(spec: BoxSpec, model: Any, inputs: Any, path: Path) -> None:
    programs.export(TorchExportSpec(), model, inputs, path)


def write_another(spec: BoxSpec, model: Any, inputs: Any, path: Path) -> None:
    with torch.no_grad():
        before = next(model.parameters()).clone()
        next(model.parameters()).mul_(-1)
        programs.export(TorchExportSpec(), model, inputs, path)
        next(model.parameters()).copy_(before)


def made(target: Any) -> Registry:
    class Plugin:
        @registry.hookimpl
        def registry_parts(self, register: Registrar) -> None:
            register.export("box", spec=BoxSpec, target=target, load=programs.load)

    return Registry([Plugin()], installed=True)


def test_it_is_verified_and_used_like_the_others(classifier: Any, photos: list[Path], tmp_path: Path) -> None:
    ours = made(write)
    spec = flow.target_spec(ours, "box")
    done = flow.exported(ours, classifier, spec, tmp_path / "model.box", images=photos)
    assert done.verification is not None
    assert done.verification.far.largest == 0
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours.load_artefact(tmp_path / "model.box")(images), classifier(images))


def test_a_file_that_answers_otherwise_is_not_left(classifier: Any, photos: list[Path], tmp_path: Path) -> None:
    ours = made(write_another)
    with pytest.raises(RegistryError, match=r"the exported file differs from the model on .*; no file was written"):
        flow.exported(ours, classifier, flow.target_spec(ours, "box"), tmp_path / "model.box", images=photos)
    assert list(tmp_path.iterdir()) == []
