"""How long `registry.build(NAME, weights=FILE)` takes, against torchvision's builder, `torch.load` and `load_state_dict`.

Run: python benchmarks/loading.py [--rounds N]. One thread on one core; the ways take turns, and their order changes from round
to round. The files are on the disk's cache; their weights are torchvision's own random ones, saved by torch.save and as
safetensors. Repeated calls: medians in one process after one warm-up. First call: medians over fresh processes that have
imported torch, torchvision and registry, so that it holds what is imported and parsed on first use. The peer is named with how
it reads the file: whole, as torchvision itself does, or memory mapped.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

import registry

#: Names of the registry and of torchvision, how many times as fast the first peer is asked for, and settings that make both
#: modules the same: torchvision's builder freezes batch norms only where it fetches weights itself.
MODELS: dict[str, tuple[str, float | None, dict[str, str]]] = {
    "fasterrcnn_mnv3_large_320_fpn": ("fasterrcnn_mobilenet_v3_large_320_fpn", 5.0, {"backbone.norm": "batch"}),
    "lraspp_mnv3_large": ("lraspp_mobilenet_v3_large", None, {}),
    "mobilenet_v3_large": ("mobilenet_v3_large", None, {}),
}
WHOLE, MAPPED = "torchvision, torch.load", "torchvision, torch.load(mmap=True)"
PTH, SAFE = "registry, .pth", "registry, .safetensors"
WAYS = (WHOLE, MAPPED, PTH, SAFE)


def main() -> None:
    """Measures and prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="counted rounds of repeated calls")
    parser.add_argument("--processes", type=int, default=3, help="fresh processes for each first call")
    parser.add_argument("--first", nargs=3, metavar=("NAME", "WAY", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    if options.first:
        name, way, folder = options.first
        print(seconds(ways(name, Path(folder))[way]))
        return
    for name, (peer, asked, _) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            state = torchvision(peer).state_dict()
            torch.save(state, Path(folder, "w.pth"))
            save_file(state, Path(folder, "w.safetensors"))
            show(name, asked, repeated(name, Path(folder), options.rounds), first(name, folder, options.processes))


def torchvision(name: str) -> nn.Module:
    """torchvision's model with random weights; nothing is fetched."""
    backbone = {} if name.startswith("mobilenet") else {"weights_backbone": None}
    model: nn.Module = get_model(name, weights=None, **backbone)
    return model


def ways(name: str, folder: Path) -> dict[str, Callable[[], object]]:
    """What is measured, for one model."""
    peer, _, same = MODELS[name]

    def load(mmap: bool) -> nn.Module:
        model = torchvision(peer)
        model.load_state_dict(torch.load(folder / "w.pth", map_location="cpu", weights_only=True, mmap=mmap))
        return model

    return {
        WHOLE: lambda: load(False),
        MAPPED: lambda: load(True),
        PTH: lambda: registry.build(name, weights=folder / "w.pth", overrides=same),
        SAFE: lambda: registry.build(name, weights=folder / "w.safetensors", overrides=same),
    }


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes, without giving back what it made."""
    gc.collect()
    started = time.perf_counter()
    made = call()
    taken = time.perf_counter() - started
    del made
    return taken


def repeated(name: str, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in one process."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    calls = ways(name, folder)
    for number in range(rounds + 1):
        for way in (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]):
            taken = seconds(calls[way])
            if number:
                found[way].append(taken)
    return found


def first(name: str, folder: str, processes: int) -> dict[str, list[float]]:
    """Seconds of each way's first call in fresh processes."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(processes):
        for way in WAYS:
            command = [sys.executable, __file__, "--first", name, way, folder]
            found[way].append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return found


def show(name: str, asked: float | None, repeated: dict[str, list[float]], first: dict[str, list[float]]) -> None:
    """Prints the table of one model: milliseconds, and both peers by each way."""
    print(f"\n{name}\n{'':<36} {'ms':>7} {'min':>7} {'max':>7}  whole / it  mapped / it  {'first ms':>8}  whole / it")
    middle = {way: statistics.median(times) for way, times in repeated.items()}
    start = {way: statistics.median(times) for way, times in first.items()}
    for way, times in repeated.items():
        print(
            f"{way:<36} {middle[way] * 1e3:>7.1f} {min(times) * 1e3:>7.1f} {max(times) * 1e3:>7.1f}"
            f"  {middle[WHOLE] / middle[way]:>9.1f}x  {middle[MAPPED] / middle[way]:>10.1f}x"
            f"  {start[way] * 1e3:>8.1f}  {start[WHOLE] / start[way]:>9.1f}x"
        )
    if asked is not None:
        ratio = middle[WHOLE] / middle[PTH]
        met = "met" if ratio >= asked else "NOT met"
        print(f"repeated calls, .pth, whole: {ratio:.1f}x (asked: at least {asked:g}x, {met})")


if __name__ == "__main__":
    main()
