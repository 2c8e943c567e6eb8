"""How fast `registry validate` is: start against `import torchvision`, throughput against check-jsonschema, growth, memory.

Run: python benchmarks/validate.py [--rounds N] [--files N] [--most N] [--cores N]; needs `pip install check-jsonschema`. Every
round runs both sides one after the other on the same cores, each in a cold process; medians are printed, and their ratio.
check-jsonschema gets the schema of this repository and the same files, and makes no checks between settings; it runs one
process, ours as many as there are cores. Starts are measured on one core, throughput on one core and on several. Beside the
time that passes stands the processor time of all processes, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
#: Scripts of the environment that this runs in come first.
PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
VALIDATE = [shutil.which("registry", path=PLACES) or "registry", "validate"]
PROBE = "import sys; from registry.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds after one warm-up")
    parser.add_argument("--files", type=int, default=1000, help="files that both sides check")
    parser.add_argument("--most", type=int, default=10_000, help="files of the longest run of ours")
    parser.add_argument("--cores", type=int, default=2, help="cores of the second measurement of throughput")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with tempfile.TemporaryDirectory() as folder:
        _pin(cores[:1])
        _start(Path(folder), options.rounds)
        _throughput(Path(folder) / "one_core", options.rounds, options.files)
        _growth(Path(folder), options.most)
        if len(cores) > 1 < options.cores:
            _pin(cores[: options.cores])
            _throughput(Path(folder) / "more_cores", options.rounds, options.files)


def _pin(cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)
    print(f"on {len(cores) or 'all'} core{'' if len(cores) == 1 else 's'}")


def _start(folder: Path, rounds: int) -> None:
    (one,) = _specs(folder / "one", 1)
    subprocess.run([sys.executable, "-c", PROBE, "validate", one], check=True, stdout=subprocess.DEVNULL)
    torchvision = [sys.executable, "-W", "ignore", "-c", "import torchvision"]
    theirs, ours = _paired([torchvision, [*VALIDATE, str(one)]], rounds)
    print(f"start: `import torchvision` {theirs}, `registry validate ONE.yaml` {ours}: {_ratio(theirs, ours)}")


def _throughput(folder: Path, rounds: int, count: int) -> None:
    peer = shutil.which("check-jsonschema", path=PLACES)
    if peer is None:
        print("throughput: not measured, as check-jsonschema is not installed: pip install check-jsonschema")
        return
    files = _specs(folder, count)
    schema = ROOT / "schemas" / "model.schema.json"
    check = [peer, "--schemafile", str(schema), *map(str, files)]
    theirs, ours = _paired([check, [*VALIDATE, str(folder)]], rounds)
    print(
        f"throughput: {count} specs, check-jsonschema {theirs} ({1000 * theirs.wall / count:.1f} ms each), "
        f"registry validate {ours} ({1000 * ours.wall / count:.2f} ms each): {_ratio(theirs, ours)}"
    )


def _growth(folder: Path, most: int) -> None:
    for count in (most // 100, most // 10, most):
        files = folder / f"growth{count}"
        _specs(files, count)
        cost = _measured([*VALIDATE, str(files)])
        print(f"growth: {count:>6} files {cost}, {1000 * cost.wall / count:.2f} ms each, at most {cost.memory:.0f} MB")


def _specs(folder: Path, count: int) -> list[Path]:
    """Copies of the shipped model documents under other names."""
    folder.mkdir()
    shipped = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "plugins").glob("*/catalog/*.yaml"))]
    models = [text for text in shipped if re.findall(r"^kind: (.*)$", text, re.MULTILINE) == ["model"]]
    texts = [re.sub(r"^aliases: .*\n", "", text, flags=re.MULTILINE) for text in models]
    files = [folder / f"m{index}.yaml" for index in range(count)]
    for index, file in enumerate(files):
        text = re.sub(r"^name: ", f"name: m{index}_", texts[index % len(texts)], count=1, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    return files


class Cost(NamedTuple):
    """Seconds that pass, seconds of processor time of a command and its children, and peak memory in megabytes."""

    wall: float
    processor: float
    memory: float

    def __str__(self) -> str:
        return f"{self.wall:.3f} s (processor {self.processor:.3f} s)"


def _ratio(theirs: Cost, ours: Cost) -> str:
    return f"{theirs.wall / ours.wall:.1f}x (processor {theirs.processor / ours.processor:.1f}x)"


def _paired(commands: list[list[str]], rounds: int) -> list[Cost]:
    """The medians of each command, all of them run once a round."""
    costs: list[list[Cost]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for command, measured in zip(commands, costs, strict=True):
            cost = _measured(command)
            if number:
                measured.append(cost)
    return [Cost(*map(statistics.median, zip(*measured, strict=True))) for measured in costs]


def _measured(command: list[str]) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
