"""Assembly: from a typed spec to an `nn.Module`, with or without weights. torch is imported inside functions only."""

from registry.assemble.build import build_model, build_task
from registry.assemble.checkpoint import read_spec_text, save
from registry.assemble.construct import require_torch
from registry.assemble.deep import deep_findings
from registry.assemble.fit import InputRule, Wishes
from registry.assemble.measure import MeasuredMap, Measurement, check_forward, elements, measure

__all__ = [
    "InputRule",
    "MeasuredMap",
    "Measurement",
    "Wishes",
    "build_model",
    "build_task",
    "check_forward",
    "deep_findings",
    "elements",
    "measure",
    "read_spec_text",
    "require_torch",
    "save",
]
