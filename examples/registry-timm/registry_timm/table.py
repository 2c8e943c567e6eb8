"""Feature maps of the models whose documents ship, read from `maps.yaml`, so that specs need neither torch nor timm."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Annotated, Any

import yaml
from pydantic import Field

from registry.specs import FeatureMap, Listed, Spec


class TableEntry(Spec):
    """What `python -m registry_timm.tabulate` found out about a model."""

    output_strides: Annotated[Listed[int], Field(description="What `output_stride` may be.")]
    drop_path: Annotated[bool, Field(description="Whether the model takes a `drop_path_rate`.")]
    maps: Annotated[Listed[FeatureMap], Field(description="Feature maps without an output stride, finest first.")]


def find(model: str) -> TableEntry | None:
    """The table's entry for a model, or None."""
    row = _rows().get(model)
    return None if row is None else _entry(model)


def models() -> list[str]:
    """Names of all models in the table."""
    return list(_rows())


@functools.cache
def _rows() -> dict[str, Any]:
    rows: dict[str, Any] = yaml.safe_load(files("registry_timm").joinpath("maps.yaml").read_text(encoding="utf-8"))
    return rows


@functools.cache
def _entry(model: str) -> TableEntry:
    return TableEntry.model_validate(_rows()[model])
