"""How long a torch-free verb takes from a cold process, against `import torchvision`.

Run: python benchmarks/startup.py [--rounds N]. Each round runs every command once, one after the other on the same core;
medians are printed, and each as a fraction of torchvision's import in the same rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = "kind: model\nname: mine\nextends: mobilenet_v3_small\nhead: {num_classes: 5}\ntask: {categories: [a, b, c, d, e]}\n"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds after one warm-up")
    rounds = parser.parse_args().rounds
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "mine.yaml")
        spec.write_text(SPEC, encoding="utf-8")
        verb = [sys.executable, "-m", "registry.cli"]
        commands = {
            "import torchvision": [sys.executable, "-W", "ignore", "-c", "import torchvision"],
            "import registry": [sys.executable, "-c", "import registry"],
            "registry --help": [*verb, "--help"],
            "registry list": [*verb, "list"],
            "registry show": [*verb, "show", "mobilenet_v3_large"],
            "registry explain": [*verb, "explain", "mobilenet_v3_large"],
            "registry plugins": [*verb, "plugins"],
            "registry validate ONE.yaml": [*verb, "validate", str(spec)],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                if number:
                    times[name].append(time.perf_counter() - started)
    peer = statistics.median(times["import torchvision"])
    print(f"{'command':<28} {'median s':>9} {'min':>7} {'max':>7}  torchvision / it")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<28} {median:>9.3f} {min(measured):>7.3f} {max(measured):>7.3f}  {peer / median:>6.1f}x")


if __name__ == "__main__":
    main()
