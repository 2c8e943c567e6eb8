"""Measuring a suite: table by table, so that no more processes live at once than a table has rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from registry.artefacts import is_artefact
from registry.registry import Registry
from registry_benchmark import cores as cores_of
from registry_benchmark.asked import Asked
from registry_benchmark.report import row as row_of
from registry_benchmark.spread import saving
from registry_benchmark.subjects import TORCHVISION, Subject, weights_for
from registry_benchmark.suite import Part, Row, Suite, Table


@dataclass(frozen=True)
class Measured:
    """A suite with what was measured.

    Attributes:
        rows: by their ids, as `registry_benchmark.report.row` gives them; rows that are published only have none.
        subjects: what was run for each.
    """

    suite: Suite
    rows: dict[str, dict[str, Any]]
    subjects: dict[str, Subject]
    machine: dict[str, Any]
    runs: int
    warmup: int
    peak: float | None = None

    def accuracy(self, name: str, metric: str) -> float | None:
        """Measured accuracy of a row in percent, by the name that the suite has for it; None where there is none."""
        row = self.rows.get(name)
        if row is None or row["accuracy"] is None:
            return None
        value = row["accuracy"]["figures"].get(self.suite.measured.get(metric, metric))
        return None if value is None else 100 * float(value)

    def value(self, part: Part) -> float | None:
        """What a promised figure is here; None where a row was not measured, or on random weights for accuracy."""
        first, second = (self.rows.get(name) for name in part.rows)
        if first is None or second is None:
            return None
        if part.kind == "points":
            found = [self.accuracy(name, part.metric or "") for name in part.rows]
            return None if found[0] is None or found[1] is None else found[0] - found[1]
        slow, fast = first["seconds"]["median"], second["seconds"]["median"]
        return float(slow / fast if part.kind == "speedup" else saving(slow, fast))


def run(registry: Registry, suite: Suite, asked: Asked, replaced: Mapping[str, str]) -> Measured:
    """Measures a suite.

    Args:
        replaced: what rows run instead, by their ids: an artefact, or a model.

    Raises:
        As `registry_benchmark.turns.measured`.
    """
    runs = asked.runs or suite.runs
    rows: dict[str, dict[str, Any]] = {}
    subjects: dict[str, Subject] = {}
    peaks = []
    for table in suite.tables:
        chosen = {row.id: _subject(registry, row, table, asked, replaced) for row in table.rows}
        there = {name: subject for name, subject in chosen.items() if subject is not None}
        if not there:
            continue
        found = asked.timed(list(there.values()), runs=runs)
        if asked.peak:
            peaks.append(found[-1].told["macs"] / min(found[-1].wall))
        by_row = dict(zip(there, found, strict=False))
        baseline = by_row.get(table.baseline or "", found[0])
        peak = max(peaks) if peaks else None
        rows |= {name: row_of(timed, baseline, peak) for name, timed in by_row.items()}
        subjects |= there
    machine = cores_of.machine(asked.cores, asked.threads)
    return Measured(suite, rows, subjects, machine, runs, asked.warmup, max(peaks) if peaks else None)


def _subject(registry: Registry, row: Row, table: Table, asked: Asked, replaced: Mapping[str, str]) -> Subject | None:
    word = replaced.get(row.id, row.model)
    if word is None:
        return None
    base = asked.base()
    size = row.image or table.image
    given = weights_for(row.id, [row.id], asked.weights)
    if row.id in replaced:
        found = asked.checked(registry, word)
        artefact = is_artefact(registry, found.reference)
        return replace(found, label=row.label, size=None if artefact else size)
    if word.startswith(TORCHVISION):
        return replace(base, label=row.label, reference=word, kind="torchvision", size=size, overrides=())
    weights = None if given is None or row.weights is None else row.weights if given == "default" else given
    overrides = tuple(f"{key}={value}" for key, value in row.overrides.items())
    return replace(base, label=row.label, reference=word, weights=weights, overrides=overrides, size=size)
