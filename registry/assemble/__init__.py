"""Assembly: from a typed spec to an `nn.Module`, with or without weights. torch is imported inside functions only."""

from registry.assemble.build import build_model, build_task
from registry.assemble.checkpoint import read_spec_text, save
from registry.assemble.fit import InputRule, Wishes

__all__ = ["InputRule", "Wishes", "build_model", "build_task", "read_spec_text", "save"]
