"""The process that runs one subject. It is asked line by line on its input and answers in JSON on its output.

Run: python -c "from registry_benchmark.worker import main; main()" CORES THREADS. Whatever libraries print goes to the error
output.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any

from registry.errors import RegistryError, RegistryWarning
from registry_benchmark.cores import peak_memory, pin, pin_threads
from registry_benchmark.subjects import Subject


def main() -> None:
    """Answers until the input ends or asks to stop."""
    cores = tuple(int(text) for text in sys.argv[1].split(",") if text)
    threads = int(sys.argv[2])
    pin(cores)  # before anything starts a thread
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers, Worker(cores, threads))


def serve(asked: IO[str], answers: IO[str], worker: Worker) -> None:
    """Answers each line `{"do": NAME, …}` with what the worker's method returns, or with the error that it raised."""
    for line in asked:
        order = json.loads(line)
        name = order.pop("do")
        if name == "stop":
            return
        try:
            method: Callable[..., dict[str, Any]] = getattr(worker, name)
            answer = method(**order)
        except RegistryError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "there is not enough memory"}
        except Exception as error:  # of a model's code, or of an engine
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class Worker:
    """One subject on its cores.

    Args:
        cores: that this process is held to; empty where it is not.
        threads: for torch and the engines.
    """

    def __init__(self, cores: tuple[int, ...], threads: int) -> None:
        self.cores, self.threads = cores, threads
        self._run: Any = None
        self._memory = 0

    def load(self, subject: dict[str, Any]) -> dict[str, Any]:
        """Builds or loads the subject; what it is."""
        from registry.assemble import require_torch

        require_torch("timing a model")
        import torch

        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        self._memory = peak_memory()
        from registry_benchmark.opening import opened

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", RegistryWarning)
            self._run = opened(Subject.from_data(subject))
        told: dict[str, Any] = self._run.told()
        told["notes"] += [str(each.message) for each in caught if issubclass(each.category, RegistryWarning)]
        return told

    def warm(self, runs: int) -> dict[str, Any]:
        """Runs that do not count; how long the last one took."""
        seconds = 0.0
        for _ in range(runs):
            seconds, _ = self._run.timed()
        return {"seconds": seconds, "strayed": pin_threads(self.cores)}

    def turn(self, prime: bool) -> dict[str, Any]:
        """One run, after one that does not count where `prime` says so: another process used the caches meanwhile."""
        if prime:
            self._run.timed()
        wall, processor = self._run.timed()
        return {"wall": wall, "processor": processor}

    def tell(self) -> dict[str, Any]:
        """Memory first, then what is counted: parameters, multiply-adds, bytes, what a detector found."""
        memory = {"memory": peak_memory(), "memory_before": self._memory, "memory_device": self._run.device_memory()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {**memory, **self._run.counted()}

    def accuracy(self, data: str, settings: list[str], limit: int | None) -> dict[str, Any]:
        """Figures on the validation split of a data set."""
        from registry_benchmark.accuracy import figures

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return figures(self._run.subject, data, settings, limit)


if __name__ == "__main__":
    main()
