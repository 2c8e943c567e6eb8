"""Reports as text for a terminal, and as tables of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from registry.cli import output
from registry_benchmark.report import Report

#: Lays out rows under a header.
Layout = Callable[[Sequence[Sequence[str]], Sequence[str], Sequence[int]], str]


def plain(rows: Sequence[Sequence[str]], header: Sequence[str], right: Sequence[int]) -> str:
    """Columns aligned by spaces, whole however narrow the terminal is: what stands last is as needed as the rest."""
    lines = [[name.upper() for name in header], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(rows: Sequence[Sequence[str]], header: Sequence[str], right: Sequence[int]) -> str:
    """A table of Markdown."""
    marks = ["---:" if index in right else "---" for index in range(len(header))]
    lines = [header, marks, *([cell.replace("|", "\\|") for cell in line] for line in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_text(report: Report) -> str:
    """The report for a terminal."""
    return "\n".join([_head(report), "", _table(report, plain), *_tail(report, "")])


def as_markdown(report: Report) -> str:
    """The report as Markdown."""
    return "\n".join([_head(report), "", _table(report, markdown), *_tail(report, "* ")])


def milliseconds(seconds: float) -> str:
    """`7.92`, with three digits."""
    value = seconds * 1000
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def megabytes(count: float | None) -> str:
    """`22.2`, in 10^6 bytes; `-` for None."""
    return "-" if count is None else f"{count / 1e6:.1f}" if count < 1e8 else f"{count / 1e6:.0f}"


def memory_cell(row: dict[str, Any]) -> str:
    """Most memory of the process, and in brackets how much of it came with the model; of a GPU, what torch held there."""
    if row["memory_device"] is not None:
        return megabytes(row["memory_device"])
    if row["memory"] is None:
        return "-"
    return f"{row['memory'] / 1e6:.0f} (+{row['memory_of_model'] / 1e6:.0f})"


def machine_line(machine: dict[str, Any]) -> str:
    """Processor, instruction sets and cores in a line."""
    sets = f" ({', '.join(machine['instructions'])})" if machine["instructions"] else ""
    cores = f", pinned to {_cores(machine['cores'])}" if machine["cores"] else ", not pinned"
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    return f"{machine['processor']}{sets}, {machine['cores_there']} cores; {threads}{cores}"


def accuracy_cell(row: dict[str, Any]) -> str:
    """Measured accuracy with its name, else the published one in brackets."""
    if row["accuracy"] is not None and row["accuracy"]["value"] is not None:
        return f"{row['accuracy']['metric']} {row['accuracy']['value']:.4g}"
    name, value = next(iter(row["published"].items()), ("", None))
    return "-" if value is None else f"({name} {value:g})"


def _cores(cores: Sequence[int]) -> str:
    return ("core " if len(cores) == 1 else "cores ") + ", ".join(map(str, cores))


def _head(report: Report) -> str:
    runs = f"{report.runs} runs of each in turn, after {report.warmup} that do not count"
    return f"{machine_line(report.machine)}\n{runs}; ratios against {report.baseline}"


def _table(report: Report, layout: Layout) -> str:
    several = len({(tuple(row["image"] or ()), row["batch"]) for row in report.rows}) > 1
    header = ["model", "engine", "ms", "quartiles", "ratio", "quartiles", "parameters", "macs", "MB", "memory MB"]
    header += ["of peak"] if report.peak is not None else []
    header += ["image"] if several else []
    header += ["accuracy"]
    rows = [_cells(row, report.peak is not None, several) for row in report.rows]
    shape = "" if several else f"{_image(report.rows[0])}\n\n"
    return shape + layout(rows, header, range(2, len(header) - 1))


def _cells(row: dict[str, Any], peak: bool, several: bool) -> list[str]:
    seconds, against = row["seconds"], row["ratio"]
    engine = row["engine"] if row["device"] == "cpu" else f"{row['engine']} on {row['device']}"
    if row["quantization"]:
        engine += f", {row['quantization'].get('type', 'quantized')}"
    cells = [
        row["label"],
        engine,
        milliseconds(seconds["median"]),
        f"{milliseconds(seconds['low'])}-{milliseconds(seconds['high'])}",
        f"{against['value']:.2f}x",
        f"{against['low']:.2f}-{against['high']:.2f}",
        "-" if row["parameters"] is None else output.count(row["parameters"]),
        "-" if row["macs"] is None else output.count(row["macs"]),
        megabytes(row["bytes"]),
        memory_cell(row),
    ]
    cells += ["-" if row["of_peak"] is None else f"{row['of_peak']:.2f}x"] if peak else []
    cells += [_image(row)] if several else []
    return [*cells, accuracy_cell(row)]


def _image(row: dict[str, Any]) -> str:
    if not row["image"]:
        return "-"
    return f"{row['batch']} x {row['image'][0]}x{row['image'][1]}"


def _tail(report: Report, bullet: str) -> list[str]:
    lines = []
    if report.peak is not None:
        told = "of float32, a product of matrices"
        lines.append(f"peak of the cores: {report.peak / 1e9:.1f} billion multiply-adds a second {told}")
    if any(row["accuracy"] is None and row["published"] for row in report.rows):
        lines.append("accuracy in brackets is published, not measured")
    lines += report.notes
    return ["", *(f"{bullet}{line}" for line in lines)] if lines else []
