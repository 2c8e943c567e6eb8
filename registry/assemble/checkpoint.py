"""Checkpoints: a safetensors file that says which model its tensors belong to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.errors import WeightsError
from registry.files import write_atomically
from registry.host import PluginHost
from registry.specs import ModelSpec
from registry.weights import read_metadata

if TYPE_CHECKING:
    from torch import nn

_FORMAT = "vision-registry"


def save(host: PluginHost, model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Writes a built model as a checkpoint; the file is either complete or absent.

    Its metadata holds the resolved spec as JSON, the SHA-256 of that text, and the distributions and versions of the
    plugins whose parts the model uses. Nothing in it is code.

    Args:
        model: a module that `registry.build` made.
        path: the file to write, ending in `.safetensors`; its folder must exist.

    Raises:
        WeightsError: the module has no spec, or the file cannot be written.
    """
    from safetensors.torch import save as to_bytes

    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise WeightsError("only a module that registry.build() made can be saved: this one has no `spec`")
    target = Path(path)
    if target.suffix.lower() != ".safetensors":
        raise WeightsError(f"a checkpoint's name ends in .safetensors; write `{target.with_suffix('.safetensors')}`")
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in model.state_dict().items()}
    try:
        write_atomically(target, to_bytes(tensors, metadata=_metadata(host, spec)))
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def read_spec_text(path: str | os.PathLike[str]) -> tuple[str, dict[str, str]]:
    """The spec of a checkpoint as JSON text, and the plugin distributions it was made with, without torch.

    Raises:
        WeightsError: the file cannot be read, is no checkpoint of this package, or its spec was altered.
    """
    name = Path(path).name
    metadata = read_metadata(Path(path))
    text = metadata.get("spec")
    if metadata.get("format") != _FORMAT or text is None:
        raise WeightsError(
            f"{name} holds tensors but no spec; name the model and give the file as its weights: "
            f"registry.build(MODEL, weights={str(path)!r})"
        )
    if hashlib.sha256(text.encode()).hexdigest() != metadata.get("spec_sha256"):
        raise WeightsError(f"{name}: the spec in its metadata was altered or damaged; use a good copy")
    try:
        plugins: Any = json.loads(metadata.get("plugins", "{}"))
    except ValueError:
        plugins = {}
    return text, {str(k): str(v) for k, v in plugins.items()} if isinstance(plugins, dict) else {}


def _metadata(host: PluginHost, spec: ModelSpec) -> dict[str, str]:
    text = json.dumps(host.dump(spec))
    origins = [host.record_of(part).origin for _, part in spec.parts()]
    return {
        "format": _FORMAT,
        "spec": text,
        "spec_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "plugins": json.dumps({origin.distribution: origin.version for origin in origins}, sort_keys=True),
    }
