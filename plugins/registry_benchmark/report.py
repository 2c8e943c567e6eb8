"""What was measured, as plain data, which every format is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from registry_benchmark.spread import Ratio, Spread, ratio
from registry_benchmark.turns import Timed


@dataclass(frozen=True)
class Report:
    """Subjects that were timed together.

    Attributes:
        rows: an entry for each subject, see `row`.
        baseline: label of the one that ratios are against.
        machine: processor, cores and versions.
        peak: multiply-adds a second that the cores did at most, where that was measured.
        runs, warmup: counted runs of each, and those before.
        notes: what a reader must know, a sentence each.
    """

    rows: tuple[dict[str, Any], ...]
    baseline: str
    machine: dict[str, Any]
    peak: float | None
    runs: int
    warmup: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        found: Sequence[Timed],
        baseline: str,
        machine: dict[str, Any],
        *,
        runs: int,
        warmup: int,
        random: bool = True,
    ) -> Report:
        """The report of what was measured.

        Args:
            baseline: label of a subject among them.
            random: whether a note says which weights are random.
        """
        models = [timed for timed in found if timed.subject.kind != "peak"]
        products = [timed for timed in found if timed.subject.kind == "peak"]
        peak = products[0].told["macs"] / min(products[0].wall) if products else None
        first = next(timed for timed in models if timed.subject.label == baseline)
        rows = tuple(row(timed, first, peak) for timed in models)
        return cls(rows, baseline, machine, peak, runs, warmup, tuple(_notes(models, rows, random)))

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "baseline": self.baseline,
            "runs": self.runs,
            "warmup": self.warmup,
            "machine": self.machine,
            "peak_macs_per_second": self.peak,
            "subjects": list(self.rows),
            "notes": list(self.notes),
        }


def row(timed: Timed, baseline: Timed, peak: float | None = None) -> dict[str, Any]:
    """A subject as plain data: seconds, bytes, counts of one image, and ratios against the baseline (above 1 is faster).

    `of_peak` is the time of a run by the time that its multiply-adds take at the peak: 1 at best.
    """
    subject, told = timed.subject, timed.told
    times, against = Spread.of(timed.wall), ratio(baseline.wall, timed.wall)
    macs, batch = told.get("macs"), told.get("batch", 1)
    accuracy = None
    if timed.figures is not None:
        headline = timed.figures["headline"]
        accuracy = {"metric": headline, "value": timed.figures["figures"].get(headline), **timed.figures}
    memory = told.get("memory")
    return {
        "label": subject.label,
        "model": told.get("name", subject.reference),
        "reference": subject.reference,
        "task": told.get("task"),
        "engine": told["engine"],
        "device": subject.device,
        "options": list(subject.options),
        "weights": subject.origin,
        "quantization": told.get("quantization"),
        "image": told.get("image"),
        "batch": batch,
        "seconds": _spread(times),
        "processor_seconds": _spread(Spread.of(timed.processor)),
        "runs": timed.wall,
        "disturbed": timed.disturbed,
        "images_per_second": batch / times.median,
        "ratio": _ratio(against),
        "parameters": told.get("parameters"),
        "macs": macs,
        "bytes": told.get("bytes"),
        "memory": memory,
        "memory_of_model": None if memory is None else max(memory - told.get("memory_before", 0), 0),
        "memory_device": told.get("memory_device"),
        "of_peak": None if peak is None or not macs else times.median / (macs * batch / peak),
        "proposals": told.get("proposals"),
        "detections": told.get("detections"),
        "accuracy": accuracy,
        "published": told.get("published") or {},
        "notes": told.get("notes", []),
    }


def disturbed(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A note of subjects on a CPU whose runs waited for other programs in spite of being repeated."""
    found = [(each["label"], each["disturbed"]) for each in rows if each["disturbed"]]
    if found:
        told = ", ".join(f"{label} ({count})" for label, count in found)
        yield f"runs that other programs disturbed, repeated in vain: {told}; measure on a quiet machine"


def _spread(times: Spread) -> dict[str, float]:
    return {"median": times.median, "low": times.low, "high": times.high, "least": times.least, "most": times.most}


def _ratio(found: Ratio) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _notes(found: Sequence[Timed], rows: Sequence[dict[str, Any]], random: bool) -> Iterator[str]:
    unweighted = [timed.subject.label for timed in found if timed.subject.random]
    if unweighted and random:
        yield f"random weights, whose speed alone means something: {', '.join(unweighted)}"
    looking = [
        (each, each["proposals"]) for each in rows if each["task"] == "detection" and each["proposals"] is not None
    ]
    for each, count in looking:
        found_ = "" if each["detections"] is None else f" and {each['detections']:.0f} detections"
        yield f"{each['label']}: {count:.0f} proposals{found_} an image, which decide a part of its time"
    yield from disturbed(rows)
    strayed = [timed.subject.label for timed in found if timed.told.get("strayed")]
    if strayed:
        yield f"threads that had left their cores were brought back before timing: {', '.join(strayed)}"
    for each in rows:
        yield from (f"{each['label']}: {note}" for note in each["notes"])
