"""Assembly: from a typed spec to an `nn.Module`, with or without weights. torch is imported inside functions only."""

from registry.assemble.build import build_model, build_task
from registry.assemble.checkpoint import read_spec_text, save
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
    "elements",
    "measure",
    "read_spec_text",
    "save",
]
