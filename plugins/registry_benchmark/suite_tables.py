"""A measured suite as text, Markdown, data and charts: published figures beside those of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from registry.cli import output
from registry_benchmark.plotting import Panel, Point
from registry_benchmark.report import disturbed
from registry_benchmark.suite import Headline, Part, Row, Table
from registry_benchmark.suite_runs import Measured
from registry_benchmark.tables import Layout, machine_line, markdown, megabytes, memory_cell, milliseconds, plain

#: What is said where a promised figure could not be measured.
_NEEDS = {"points": "needs files with --use, and --data", "speedup": "not measured", "saving": "not measured"}


def as_text(found: Measured) -> str:
    """Tables and headlines for a terminal."""
    return "\n".join(_lines(found, plain, "", ""))


def as_markdown(found: Measured) -> str:
    """Tables and headlines as Markdown."""
    return "\n".join(_lines(found, markdown, "## ", "* "))


def as_data(found: Measured) -> dict[str, Any]:
    """Plain data for JSON."""
    suite = found.suite
    tables = [
        {
            "name": table.name,
            "title": table.title,
            "rows": [
                {"id": row.id, "label": row.label, "published": row.published, "measured": found.rows.get(row.id)}
                for row in table.rows
            ],
        }
        for table in suite.tables
    ]
    headlines = [
        {
            "claim": headline.claim,
            "note": headline.note,
            "parts": [
                {"label": part.label, "kind": part.kind, "promised": part.promised, "measured": found.value(part)}
                for part in headline.parts
            ],
        }
        for headline in suite.headlines
    ]
    return {
        "suite": suite.name,
        "source": suite.source.model_dump(mode="json"),
        "machine": found.machine,
        "runs": found.runs,
        "warmup": found.warmup,
        "peak_macs_per_second": found.peak,
        "tables": tables,
        "headlines": headlines,
        "notes": list(notes(found)),
    }


def panels(found: Measured) -> list[Panel]:
    """A chart of each table with times: the first metric, measured where it was and else published, against time."""
    made = []
    for table in found.suite.tables:
        points = []
        for row in table.rows:
            here, metric = found.rows.get(row.id), table.metrics[0]
            if here is None:
                continue
            own = found.accuracy(row.id, metric)
            height = row.published.get(metric) if own is None else own
            if height is not None:
                times = here["seconds"]
                points.append(Point(row.label, times["median"], times["low"], times["high"], height, own is not None))
        if len(points) > 1:
            made.append(Panel(table.title, f"{table.metrics[0]}, % (orange: published)", tuple(points)))
    return made


def notes(found: Measured) -> Iterator[str]:
    """What a reader must know, a sentence each."""
    if any(subject.random for subject in found.subjects.values()):
        yield "weights are random where no accuracy is measured: times and sizes mean something, answers do not"
    yield from disturbed(list(found.rows.values()))
    for row in found.suite.every_row():
        here = found.rows.get(row.id)
        if row.note is not None:
            yield f"{row.label}: {row.note}"
        if here is not None and here["proposals"] is not None:
            yield f"{row.label}: {here['proposals']:.0f} proposals an image, which decide a part of its time"


def promised(part: Part, value: float) -> str:
    """A figure of a headline: `2.50x`, `45 %`, or `+1.8 points`."""
    if part.kind == "points":
        return f"{value:+.1f} points"
    return f"{value:.2f}x" if part.kind == "speedup" else f"{value:.0%}".replace("%", " %")


def _lines(found: Measured, layout: Layout, title: str, bullet: str) -> Iterator[str]:
    suite = found.suite
    yield f"{suite.source.title} ({suite.source.date}, {suite.source.url})"
    yield machine_line(found.machine)
    yield f"{found.runs} runs of each in turn, after {found.warmup} that do not count; `here` is what was measured"
    for table in suite.tables:
        yield f"\n{title}{table.title}\n"
        yield _table(found, table, layout)
    if suite.headlines:
        yield f"\n{title}What the article promises\n"
        rows = [line for number, each in enumerate(suite.headlines, 1) for line in _headline(found, number, each)]
        yield layout(rows, ["", "claim", "figure", "promised", "measured"], [3, 4])
    if found.peak is not None:
        yield f"\npeak of the cores: {found.peak / 1e9:.1f} billion multiply-adds a second"
    told = list(notes(found)) + [f"{each.claim}: {each.note}" for each in suite.headlines if each.note]
    if told:
        yield ""
    yield from (f"{bullet}{line}" for line in told)


def _headline(found: Measured, number: int, headline: Headline) -> Iterator[list[str]]:
    for index, part in enumerate(headline.parts):
        value = found.value(part)
        here = _NEEDS[part.kind] if value is None else promised(part, value)
        first = [str(number), headline.claim] if index == 0 else ["", ""]
        yield [*first, part.label, promised(part, part.promised), here]


def _table(found: Measured, table: Table, layout: Layout) -> str:
    there = [row for row in table.rows if row.id in found.rows]
    measured = [name for name in table.metrics if any(found.accuracy(row.id, name) is not None for row in there)]
    timed = any("seconds" in row.published for row in table.rows)
    counted = any("parameters" in row.published for row in table.rows)
    header = ["model", *table.metrics, *(f"{name} here" for name in measured)]
    header += ["s"] * timed + ["ms here"] * bool(there) + ["faster"] * timed + ["faster here"] * bool(there)
    header += ["parameters"] * counted + ["parameters here", "macs here", "MB", "memory MB"] * bool(there)
    rows = [_cells(found, table, row, measured, timed, counted, bool(there)) for row in table.rows]
    return layout(rows, header, range(1, len(header)))


def _cells(
    found: Measured, table: Table, row: Row, measured: Sequence[str], timed: bool, counted: bool, there: bool
) -> list[str]:
    here, baseline = found.rows.get(row.id), _published_baseline(table)
    cells = [row.label, *(_number(row.published.get(name)) for name in table.metrics)]
    cells += [_number(found.accuracy(row.id, name)) for name in measured]
    seconds = row.published.get("seconds")
    cells += [_number(seconds, ".4f")] * timed
    cells += ["-" if here is None else milliseconds(here["seconds"]["median"])] * there
    cells += ["-" if seconds is None or baseline is None else f"{baseline / seconds:.2f}x"] * timed
    cells += ["-" if here is None else f"{here['ratio']['value']:.2f}x"] * there
    cells += [_count(row.published.get("parameters"))] * counted
    if there:
        cells += (
            ["-"] * 4
            if here is None
            else [_count(here["parameters"]), _count(here["macs"]), megabytes(here["bytes"]), memory_cell(here)]
        )
    return cells


def _published_baseline(table: Table) -> float | None:
    row = next((row for row in table.rows if row.id == table.baseline), table.rows[0])
    return row.published.get("seconds")


def _number(value: float | None, form: str = ".3f") -> str:
    if value is None:
        return "-"
    text = format(value, form)
    return text if form != ".3f" else text.rstrip("0").rstrip(".")


def _count(value: float | None) -> str:
    return "-" if value is None else output.count(value)
