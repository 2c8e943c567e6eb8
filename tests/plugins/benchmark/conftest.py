"""A small classifier as a checkpoint and as an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from registry_export import flow

import registry


@pytest.fixture(scope="session")
def small() -> Any:
    """The digits' classifier of 48 pixels with random weights."""
    torch.manual_seed(0)
    return registry.build("mobilenet_v3_digits_48").eval()


@pytest.fixture(scope="session")
def checkpoint(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return registry.save(small, tmp_path_factory.mktemp("checkpoint") / "digits.safetensors")


@pytest.fixture(scope="session")
def program(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier as a program of torch.export."""
    made = registry.default_registry()
    path = tmp_path_factory.mktemp("program") / "digits.pt2"
    flow.exported(made, small, flow.target_spec(made, "torch-export"), path)
    return path
