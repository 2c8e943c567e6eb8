"""How fast exported files run against torchvision's models in eager mode: MobileNetV3-Large in floats, LR-ASPP at 320 pixels,
and the dense part of Faster R-CNN at 320 pixels.

Run: python benchmarks/engines.py [--only float|dense] [--runs N] [--keep DIR]; needs `vision-registry[export]`. One thread on
one core; see benchmarks/contest.py. Integers: benchmarks/integers.py.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from contest import LARGE, contest, export, model, show_profile, told, torchvision
from registry_benchmark.report import Report
from registry_benchmark.subjects import Subject
from registry_export import flow

import registry
from registry.artefacts import KEY, Artefact, describe
from registry.modules.split import split_of

LRASPP, DETECTOR = "lraspp_mnv3_large_320", "fasterrcnn_mnv3_large_320_fpn"
#: What is asked of the best file: times as fast as eager; time by that of the multiply-adds at the core's peak.
FLOAT, DENSE, PEAK = 2.3, 1.8, 1.25
SIDES = (320, 320)


def main() -> None:
    """Writes the files, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["float", "dense"], action="append", help="this part alone")
    parser.add_argument("--runs", type=int, default=30, help="counted runs of each")
    parser.add_argument("--keep", type=Path, help="folder that keeps the files; those that are there are used again")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        parts: dict[str, Callable[[Path, argparse.Namespace], None]] = {"float": floats, "dense": dense}
        for name, part in parts.items():
            if not options.only or name in options.only:
                part(folder, options)


def floats(folder: Path, options: argparse.Namespace) -> None:
    """MobileNetV3-Large in floats, by every engine."""
    files = large_files(folder)
    found = contest("MobileNetV3-Large, float32", torchvision("mobilenet_v3_large"), files, options.runs, peak=True)
    best = max(found.rows[1:], key=lambda row: row["ratio"]["value"])
    against, peak = told(best["ratio"]["value"], FLOAT), told(best["of_peak"], PEAK, least=False)
    print(f"\nbest: {best['label']}, {against} eager; {peak} the time of its multiply-adds at the core's peak")
    show_profile(Path(best["reference"]))


def dense(folder: Path, options: argparse.Namespace) -> None:
    """LR-ASPP and the dense part of Faster R-CNN, both at 320 pixels."""
    files = [export(LRASPP, target, folder, SIDES) for target in ("onnx", "openvino")]
    base = replace(torchvision("lraspp_mobilenet_v3_large"), size=SIDES)
    best(contest("LR-ASPP MobileNetV3-Large at 320x320, float32", base, files, options.runs))
    eager = Subject(f"{DETECTOR}, dense part in eager", DETECTOR, part="dense")
    title = "Faster R-CNN MobileNetV3-Large at 320x320, its dense part, float32"
    best(contest(title, eager, dense_files(folder), options.runs))


def best(found: Report) -> None:
    """Prints the fastest file of a contest, against what is asked."""
    first = max(found.rows[1:], key=lambda row: row["ratio"]["value"])
    print(f"\nbest: {first['label']}, {told(first['ratio']['value'], DENSE)} eager")


# ---- files -----------------------------------------------------------------------------------------------------------


def large_files(folder: Path) -> list[Path]:
    """MobileNetV3-Large by every engine that is installed."""
    targets = ("onnx", "openvino", "executorch", "torch-export", "torchscript")
    return [export(LARGE, target, folder, (224, 224)) for target in targets]


def dense_files(folder: Path) -> list[Path]:
    """The dense part of the detector for ONNX Runtime and for OpenVINO, as artefacts that take a tensor."""
    import openvino

    paths = [folder / "detector_dense.onnx", folder / "detector_dense.xml"]
    if all(path.exists() for path in paths):
        return paths
    module, inputs = model(DETECTOR, SIDES)
    split = split_of(module)
    (example,) = split.examples(inputs)["dense"]
    part = split.parts["dense"]
    with torch.no_grad():
        count = len(part(example))
    made = registry.default_registry()
    spec = flow.target_spec(made, "onnx")
    said = describe(module, spec, takes="batch", shape=tuple(example.shape), outputs={"list": ["tensor"] * count})
    torch.onnx.export(part, (example,), paths[0], dynamo=False, opset_version=18, input_names=["images"])
    put_text(paths[0], said)
    save_openvino(openvino.Core().read_model(paths[0]), paths[1], replace(said, target="openvino"))
    return paths


def put_text(path: Path, said: Artefact) -> None:
    """Writes into an ONNX file what it says of itself."""
    import onnx

    found = onnx.load(path)
    del found.metadata_props[:]
    entry = found.metadata_props.add()
    entry.key, entry.value = KEY, said.to_text()
    onnx.save(found, path)


def save_openvino(found: Any, path: Path, said: Artefact) -> None:
    """Writes a model of OpenVINO with what it says of itself."""
    import openvino

    openvino.save_model(found, path, compress_to_fp16=False)
    digest = hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest()
    found.set_rt_info(replace(said, files={".bin": digest}).to_text(), KEY)
    openvino.save_model(found, path, compress_to_fp16=False)


if __name__ == "__main__":
    main()
