"""How fast `registry validate` is: start against `import torchvision`, throughput against check-jsonschema, growth, memory.

Run: python benchmarks/validate.py [--rounds N] [--files N] [--most N] [--cores N]; needs `pip install check-jsonschema`. Every
round runs both sides one after the other on the same cores, each in a cold process; medians are printed, and their ratio.
check-jsonschema gets the schema of this repository and the same files, and makes no checks between settings. Starts are
measured on one core, throughput on one core and on several.
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

ROOT = Path(__file__).resolve().parents[1]
VALIDATE = [sys.executable, "-m", "registry.cli", "validate"]
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
    print(
        f"start: `import torchvision` {theirs:.3f} s, `registry validate ONE.yaml` {ours:.3f} s: {theirs / ours:.1f}x"
    )


def _throughput(folder: Path, rounds: int, count: int) -> None:
    peer = shutil.which(
        "check-jsonschema", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if peer is None:
        print("throughput: not measured, as check-jsonschema is not installed: pip install check-jsonschema")
        return
    files = _specs(folder, count)
    schema = ROOT / "schemas" / "model.schema.json"
    check = [peer, "--schemafile", str(schema), *map(str, files)]
    theirs, ours = _paired([check, [*VALIDATE, str(folder)]], rounds)
    print(
        f"throughput: {count} specs, check-jsonschema {theirs:.2f} s ({1000 * theirs / count:.1f} ms each), "
        f"registry validate {ours:.2f} s ({1000 * ours / count:.2f} ms each): {theirs / ours:.1f}x"
    )


def _growth(folder: Path, most: int) -> None:
    for count in (most // 100, most // 10, most):
        files = folder / f"growth{count}"
        _specs(files, count)
        seconds, megabytes = _measured([*VALIDATE, str(files)])
        print(
            f"growth: {count:>6} files {seconds:>7.2f} s, {1000 * seconds / count:.2f} ms each, at most {megabytes:.0f} MB"
        )


def _specs(folder: Path, count: int) -> list[Path]:
    """Copies of the shipped model documents under other names."""
    folder.mkdir()
    shipped = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "plugins").glob("*/catalog/*.yaml"))]
    models = [text for text in shipped if re.search(r"^kind: model$", text, re.MULTILINE)]
    texts = [re.sub(r"^aliases: .*\n", "", text, flags=re.MULTILINE) for text in models]
    files = [folder / f"m{index}.yaml" for index in range(count)]
    for index, file in enumerate(files):
        text = re.sub(r"^name: ", f"name: m{index}_", texts[index % len(texts)], count=1, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    return files


def _paired(commands: list[list[str]], rounds: int) -> list[float]:
    """Median seconds of each command, all of them run once a round."""
    times: list[list[float]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for command, measured in zip(commands, times, strict=True):
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if number:
                measured.append(time.perf_counter() - started)
    return [statistics.median(measured) for measured in times]


def _measured(command: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, and its peak memory in megabytes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
