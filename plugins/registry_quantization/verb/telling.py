"""A report of `registry quantize`, as text and as data."""

from __future__ import annotations

from typing import Any

from registry_export.command import told_lines

from registry.cli import output
from registry_quantization.verb.quantizing import FLOAT, PTQ, QAT, Report

#: Layers that a person is shown.
_SHOWN = 8
_LABELS = {FLOAT: "FLOAT", PTQ: "PTQ", QAT: "QAT"}


def as_data(report: Report) -> dict[str, Any]:
    """Plain data for JSON."""
    left = set(report.left)
    return {
        "model": report.model,
        "scheme": report.scheme,
        "pictures": report.pictures,
        "calibrated": report.calibrated,
        "headline": report.headline,
        "figures": {name: side.figures for name, side in report.sides.items()},
        "agreement": {name: side.far.agreement for name, side in report.sides.items() if name != FLOAT},
        "layers": [
            {"name": each.name, "kind": each.kind, "decibels": _finite(each.decibels), "float": each.name in left}
            for each in report.layers
        ],
        "float_layers": list(report.left),
        "float_size": report.size,
        "written": None if report.written is None else report.written[0],
        "export": None if report.written is None else report.written[1].as_data(),
        "notes": report.notes,
    }


def as_text(report: Report) -> str:
    """Tables for a person."""
    kept = len(report.left)
    share = f"{report.count - kept} of {report.count} layers in integers, {kept} in floats"
    lines = [
        f"{report.model}, {report.scheme['type']}: {share}",
        f"ranges from {report.calibrated} pictures, measured on {report.pictures}",
        "",
        _figures(report),
        "",
        _layers(report),
        *report.notes,
    ]
    if report.written is not None:
        name, done = report.written
        lines += [
            "",
            f"float: {report.size / 1e6:.2f} MB; written: the {_LABELS[name]} model",
            *told_lines(done),
        ]
    return "\n".join(lines)


def _figures(report: Report) -> str:
    names = [name for name in report.sides[FLOAT].figures if "/" not in name]
    rows = [[name, *(f"{side.figures[name]:.4f}" for side in report.sides.values())] for name in names]
    agreeing = [side.far.agreement for side in report.sides.values()]
    if all(share is not None for share in agreeing):
        rows.append(["answers as in float", *(f"{share:.1%}" for share in agreeing)])
    header = ["FIGURE", *(_LABELS[name] for name in report.sides)]
    return output.table(rows, header=header, right=range(1, len(header)))


def _layers(report: Report) -> str:
    left = set(report.left)
    rows = [
        [each.name, each.kind, f"{each.decibels:.1f}", "float" if each.name in left else "integer"]
        for each in report.layers[:_SHOWN]
    ]
    return output.table(rows, header=["NOISIEST LAYERS", "KIND", "SIGNAL dB", "NOW"], right=[2])


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None
