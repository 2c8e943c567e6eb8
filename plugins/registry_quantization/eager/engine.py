"""torch's eager quantization: the package, the engine that packs and runs integers, and how values are observed."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import torch
from registry_export.common import eager_engine, quiet

from registry.errors import RegistryError
from registry_quantization.dot_products import has_dot_products
from registry_quantization.specs import QnnpackSpec


def ao(name: str = "torch.ao.quantization") -> Any:
    """A module of torch's eager quantization.

    Raises:
        RegistryError: this torch no longer has it.
    """
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise RegistryError(
            f"torch {torch.__version__} has no eager quantization any more: {error}; choose the scheme xnnpack"
        ) from error


@contextlib.contextmanager
def engine(name: str) -> Iterator[None]:
    """Packs and runs integers with that engine, for one thread at a time; the one before is put back, after an error too.

    Raises:
        RegistryError: this torch is built without it.
    """
    there = [each for each in torch.backends.quantized.supported_engines if each != "none"]
    if name not in there:
        raise RegistryError(
            f"this torch is built without the engine `{name}`; "
            + (f"write quantization.engine={' or '.join(there)}" if there else "choose the scheme xnnpack")
        )
    with eager_engine(name):
        yield


def config(spec: QnnpackSpec, *, training: bool) -> Any:
    """How values are observed or rounded: torch's own settings of the engine, with the weights' scales that the scheme says.

    Without dot products of eight bits, oneDNN's sums overflow; values have seven bits then, as torch has them for `x86`.
    """
    found = ao()
    name = "x86" if spec.engine == "onednn" and not has_dot_products() else spec.engine
    with quiet():
        usual = found.get_default_qat_qconfig(name) if training else found.get_default_qconfig(name)
        if training:
            weight = found.fake_quantize.default_fused_per_channel_wt_fake_quant
            one = found.fake_quantize.default_fused_wt_fake_quant
        else:
            weight, one = found.default_per_channel_weight_observer, found.default_weight_observer
        return found.QConfig(activation=usual.activation, weight=weight if spec.per_channel else one)
