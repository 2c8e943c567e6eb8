"""What the benchmarks of engines share: models of random weights, their files, contests, and where files spend their time.

Each subject runs in a process of its own, pinned to the same core as the others, and they take turns; medians are printed.
Weights are random, with the statistics of noise: times mean something, answers do not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from registry_benchmark.asked import Asked
from registry_benchmark.cores import chosen, pin
from registry_benchmark.opening import images
from registry_benchmark.report import Report
from registry_benchmark.runs import Run
from registry_benchmark.subjects import Subject
from registry_benchmark.tables import as_text
from registry_export import flow

import registry

LARGE = "mobilenet_v3_large"


def told(value: float, asked: float, *, least: bool = True) -> str:
    """`2.91x (asked: at least 2.3x)`, with what is missing."""
    met = value >= asked if least else value <= asked
    return f"{value:.2f}x (asked: {'at least' if least else 'at most'} {asked:g}x, {'met' if met else 'NOT met'})"


def torchvision(name: str) -> Subject:
    """A model of torchvision in eager mode."""
    return Subject(f"torchvision {name}", f"torchvision:{name}", kind="torchvision")


def contest(title: str, base: Subject, files: Sequence[Path], runs: int, *, peak: bool = False) -> Report:
    """Times files against a baseline, and prints."""
    asked = Asked(threads=1, cores=chosen(1), runs=runs, peak=peak)
    subjects = [base, *(Subject(path.name, str(path), kind="artefact") for path in files)]
    report = asked.report(subjects, base.label)
    print(f"\n{title}\n{as_text(report)}", flush=True)
    return report


def noise(count: int) -> list[torch.Tensor]:
    """Batches of one picture (1, 3, 224, 224)."""
    return list(torch.randn(count, 1, 3, 224, 224, generator=torch.Generator().manual_seed(1)))


def model(name: str, size: tuple[int, int]) -> tuple[Any, Any]:
    """A model of random weights whose norms have the statistics of noise, and its input."""
    torch.manual_seed(0)
    made = registry.default_registry()
    module: Any = registry.build(name).eval()
    inputs = images(made.task(module.spec), module.spec, 1, size)
    Run(Subject(name, name), module, inputs, task="", engine="").settle_norms()
    return module, inputs


def export(
    name: str, target: str, folder: Path, size: tuple[int, int], *settings: str, end: str = "", module: Any = None
) -> Path:
    """A model as a file for one image of that size; one that is there is taken as it is.

    Args:
        module: what is written instead of the model by that name.
        end: of the file's name, before its suffix.
    """
    made = registry.default_registry()
    spec = flow.target_spec(made, target, [f"export.{each}" for each in (*settings, "dynamic=[]")])
    path = folder / f"{name}{end}{spec.suffix}"
    if not path.exists():
        picture = folder / "picture.png"
        noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(picture)
        flow.exported(made, model(name, size)[0] if module is None else module, spec, path, images=[picture])
    return path


def show_profile(path: Path) -> None:
    """Prints the operators that hold a file back."""
    print(f"\nwhere {path.name} spends its time:")
    for line in profile(path):
        print(f"  {line}")


def profile(path: Path) -> list[str]:
    """Kinds of operators by their share of the time, the largest first."""
    x = noise(1)[0].numpy()
    if path.suffix == ".xml":
        return _openvino_profile(path, x)
    if path.suffix != ".onnx":
        return ["no profile of this engine"]
    import onnxruntime

    pin(chosen(1))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.enable_profiling = 1, True
    settings.profile_file_prefix = str(path.with_suffix(""))
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    for _ in range(20):
        session.run(None, {session.get_inputs()[0].name: x})
    file = Path(session.end_profiling())
    events = [event for event in json.loads(file.read_text(encoding="utf-8")) if event.get("cat") == "Node"]
    file.unlink()
    spent: Counter[str] = Counter()
    for event in events:
        spent[event["args"].get("op_name", "?")] += event["dur"]
    return shares(spent)


def _openvino_profile(path: Path, x: Any) -> list[str]:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    spent: Counter[str] = Counter()
    for _ in range(20):
        request.infer({0: x})
        for node in request.profiling_info:
            if node.real_time.total_seconds():
                spent[f"{node.node_type} ({node.exec_type})"] += int(node.real_time.total_seconds() * 1e6)
    return shares(spent)


def shares(spent: Counter[str]) -> list[str]:
    """A line for each kind that takes a hundredth or more."""
    whole = max(sum(spent.values()), 1)
    return [f"{count / whole:5.1%}  {kind}" for kind, count in spent.most_common() if count / whole >= 0.01]
