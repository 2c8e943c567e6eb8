"""How much slower `registry list` starts with many installed plugins than with the built-in ones alone.

Run: python benchmarks/plugins.py [--plugins N] [--documents M] [--rounds R]. Writes N distributions with M model documents each
into a temporary folder, and times `registry list` in fresh processes, one after the other on the same core: without them, with
a warm index, and with none (cold: every document is read, merged and listed). Medians, and each as a multiple of the first.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLUGIN = '''"""Brings a head."""

import registry


@registry.hookimpl
def registry_parts(register):
    register.head("{name}_head", spec="{name}.specs:HeadSpec", target="{name}.head:build")
    register.catalog("{name}", "catalog")
'''
SPECS = '''"""Its settings."""

from typing import ClassVar, Literal

from registry import specs


class HeadSpec(specs.HeadSpec):
    """A head."""

    type: Literal["{name}_head"] = "{name}_head"
    task: ClassVar[str] = "classification"
'''
DOCUMENT = """kind: model
name: {name}_model_{number}
aliases: [{name}_alias_{number}]
extends: mobilenet_v3_small
summary: Model {number} of {name}
head: {{type: {name}_head, num_classes: 1000}}
figures: {{parameters: {parameters}}}
"""


def install(site: Path, plugins: int, documents: int) -> None:
    """Writes the distributions as an installer would, bytecode included."""
    for number in range(plugins):
        name = f"plugin_{number:03}"
        catalog = site / name / "catalog"
        catalog.mkdir(parents=True)
        (site / name / "__init__.py").touch()
        (site / name / "plugin.py").write_text(PLUGIN.format(name=name), encoding="utf-8")
        (site / name / "specs.py").write_text(SPECS.format(name=name), encoding="utf-8")
        for document in range(documents):
            text = DOCUMENT.format(name=name, number=document, parameters=1000 * number + document)
            (catalog / f"model_{document}.yaml").write_text(text, encoding="utf-8")
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[registry]\n{name} = {name}.plugin\n", encoding="utf-8")
        needs = "Requires-Dist: vision-registry[torch]>=0.1"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
    compileall.compile_dir(site, quiet=1)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=200, help="installed distributions")
    parser.add_argument("--documents", type=int, default=10, help="model documents of each")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds after one warm-up")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        site, cache = Path(folder, "site"), Path(folder, "cache")
        install(site, options.plugins, options.documents)
        own = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        own["REGISTRY_CACHE"] = str(cache)
        environments = {"built-in plugins only": own, "warm": {**own, "PYTHONPATH": str(site)}}
        environments["cold"] = {**environments["warm"], "REGISTRY_CACHE": str(cache / "cold")}
        times: dict[str, list[float]] = {name: [] for name in environments}
        for number in range(options.rounds + 1):
            for name, environment in environments.items():
                shutil.rmtree(cache / "cold", ignore_errors=True)
                started = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-m", "registry.cli", "list"], check=True, capture_output=True, env=environment
                )
                if number:
                    times[name].append(time.perf_counter() - started)
                listed = done.stdout.count(b"_model_")
                expected = 0 if name == "built-in plugins only" else options.plugins * options.documents
                assert listed == expected, (
                    f"{name}: {listed} documents are listed, not {expected}: {done.stderr.decode()}"
                )
    peer = statistics.median(times["built-in plugins only"])
    print(f"{options.plugins} plugins with {options.plugins * options.documents} documents, `registry list`")
    print(f"{'':<24} {'median s':>9} {'min':>7} {'max':>7}  of built-in only")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<24} {median:>9.3f} {min(measured):>7.3f} {max(measured):>7.3f}  {median / peer:>6.2f}x")


if __name__ == "__main__":
    main()
