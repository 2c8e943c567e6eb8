"""Export targets: one whole file, or none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry.errors import MissingExtraError
from registry.specs import ExportSpec
from registry.testing.bench import Bench
from registry.testing.check import check
from registry.testing.checks.quantization import first_taken, tried
from registry.testing.checks.specs import samples_of
from registry.testing.subjects import PartSubject
from registry.testing.tensors import few, same_tensors


@check("export", torch=True)
def export_writes_one_whole_file(part: PartSubject) -> Iterator[str]:
    """It writes one file where it was told and nothing beside it, nothing at all where it fails, and leaves the model alone."""
    sample = samples_of(part)[0]
    assert isinstance(sample, ExportSpec)
    suffix = getattr(type(sample), "suffix", "")
    if not suffix.startswith("."):
        yield f"{type(sample).__name__}.suffix is {suffix!r}; write the suffix of its files with the dot"
    export = part.registry.host.target(sample)

    def call(bench: Bench) -> list[str]:
        return list(_faults(bench, suffix or ".bin", lambda *rest: export(sample, *rest)))

    yield from first_taken(part, call)


def _faults(bench: Bench, suffix: str, export: Any) -> Iterator[str]:
    model = bench.build().eval()
    inputs, _ = bench.example(2)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model{suffix}"
        tried(export, model, inputs, file)
        if not file.is_file() or not file.stat().st_size:
            yield f"nothing stands at the path that it was given, `model{suffix}`"
        beside = sorted(path.name for path in Path(folder).iterdir() if path != file)
        if beside:
            yield f"it leaves {few(beside)} beside its file; write one file, and remove what was temporary"
    changed = same_tensors(state, model.state_dict())
    if changed or model.training:
        yield f"it changes the model: {few(changed) if changed else 'it is left in training mode'}; work on a copy"
    with tempfile.TemporaryDirectory() as folder:
        missing = Path(folder) / "no" / "such" / f"model{suffix}"
        try:
            export(model, inputs, missing)
        except MissingExtraError:
            raise
        except Exception:
            left = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))
            if left:
                yield f"where the folder is missing it fails and leaves {few(left)}; write to a temporary file, then rename it"
        else:
            if not missing.is_file():
                yield "where the folder is missing it neither writes nor fails; raise a RegistryError that names the path"
