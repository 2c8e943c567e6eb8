"""How fast MobileNetV3-Large runs in integers against torchvision's float model in eager mode, and what is faster in floats.

Run: python benchmarks/integers.py [--engine onnx|openvino]… [--runs N] [--int8 FILE]… [--keep DIR]; needs
`vision-registry[quantize]`. One thread on one core; see benchmarks/contest.py. For each engine all that its scheme rounds is
rounded, and then less of it: operations between layers, or one group of layers, stay in floats. What gains speed is left out
together. `--int8` adds files that `registry quantize` wrote. Layers are not left in floats for accuracy, as weights are random.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contest import LARGE, contest, export, model, noise, show_profile, told, torchvision
from registry_benchmark.subjects import Subject
from registry_export.specs import OnnxSpec as OnnxTarget
from registry_export.specs import OpenVINOSpec as OpenVINOTarget
from registry_quantization.specs import OnnxSpec, OpenVINOSpec

import registry

#: What is asked of the best file: times as fast as eager, where the processor has dot products of eight bits or not; megabytes.
WITH, WITHOUT, SIZE = 2.5, 2.0, 6.0
CALIBRATION = 8
#: Settings that leave something in floats.
GROUPS: dict[str, dict[str, Any]] = {
    "operations": {"operations": "layers"},
    "depthwise": {"depthwise": False},
    "squeeze": {"float_modules": ("*.fc1", "*.fc2")},
    "stem": {"float_modules": ("features.0.0",)},
    "classifier": {"float_modules": ("classifier.*",)},
}
#: Everything in integers, whatever it does to answers.
ENGINES: dict[str, Any] = {
    "onnx": OnnxSpec(operations="all", least_signal=None, least_output_signal=None),
    "openvino": OpenVINOSpec(operations="all", least_signal=None, preset="performance"),
}

SUFFIXES = {"onnx": OnnxTarget.suffix, "openvino": OpenVINOTarget.suffix}


def main() -> None:
    """Quantizes, measures and prints."""
    from registry_quantization.dot_products import has_dot_products

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=list(ENGINES), action="append", help="this one alone")
    parser.add_argument("--runs", type=int, default=30, help="counted runs of each")
    parser.add_argument(
        "--int8", action="append", default=[], type=Path, help="a quantized artefact of MobileNetV3-Large"
    )
    parser.add_argument("--keep", type=Path, help="folder that keeps the files; those that are there are used again")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        best = [search(engine, folder, options.runs) for engine in options.engine or ENGINES] + options.int8
        found = contest("MobileNetV3-Large, int8", torchvision(LARGE), best, options.runs)
        for row in found.rows[1:]:
            print(f"{row['label']}: {row['bytes'] / 1e6:.2f} MB, {row['ratio']['value']:.2f}x eager")
        fitting = [row for row in found.rows[1:] if row["bytes"] <= SIZE * 1e6]
        if fitting:
            first = max(fitting, key=lambda row: row["ratio"]["value"])
            asked = WITH if has_dot_products() else WITHOUT
            print(f"best of at most {SIZE:g} MB: {first['label']}, {told(first['ratio']['value'], asked)} eager")
        for path in best:
            show_profile(path)


def search(engine: str, folder: Path, runs: int) -> Path:
    """The fastest file of an engine: everything in integers, one group left in floats, or all groups that gain by it."""
    everything = quantized(engine, folder, ())
    single = {group: quantized(engine, folder, (group,)) for group in GROUPS}
    base = Subject(everything.name, str(everything), kind="artefact")
    first = contest(f"{engine}: what stays float", base, list(single.values()), runs)
    gains = {group: row["ratio"] for group, row in zip(single, first.rows[1:], strict=True)}
    left = tuple(group for group, ratio in gains.items() if ratio["value"] > 1.01 and ratio["low"] > 1)
    if len(left) > 1:
        joined = quantized(engine, folder, left)
        files = [*(single[group] for group in left), joined]
        second = contest(f"{engine}: what gained, together", base, files, runs)
        return Path(max(second.rows, key=lambda row: row["ratio"]["value"])["reference"])
    return single[left[0]] if left else everything


def quantized(engine: str, folder: Path, left: Sequence[str]) -> Path:
    """The file of a scheme under the settings of some groups."""
    end = f"_int8_{'_'.join(left) or 'all'}"
    made = registry.default_registry()
    if (path := folder / f"{LARGE}{end}{SUFFIXES[engine]}").exists():
        return path
    changes: dict[str, Any] = {}
    for group in left:
        for key, value in GROUPS[group].items():
            changes[key] = (*changes.get(key, ()), *value) if isinstance(value, tuple) else value
    spec = ENGINES[engine].model_copy(update=changes)
    module = made.host.target(spec)(spec, model(LARGE, (224, 224))[0], noise(CALIBRATION))
    half = ("half=true", "tolerance=0.01") if engine == "openvino" else ()  # scales and biases
    return export(LARGE, engine, folder, (224, 224), *half, end=end, module=module)


if __name__ == "__main__":
    main()
