"""`registry data check`: what would spoil a training, found before it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from registry import default_registry
from registry.cli import options, output

if TYPE_CHECKING:
    from registry.registry import Registry
    from registry.specs import DatasetSpec, Finding, ModelSpec
    from registry_data.inspection import Report

_SPLITS = ("train", "validation")
#: Problems of one kind that are shown as text.
_SHOWN = 10


@click.group("data", subcommand_metavar="check DATASET")
def data() -> None:
    """Look at a data set before it is used."""


@data.command("check")
@click.argument("dataset")
@click.option("--task", metavar="TASK", help="Which task the data are for, where a folder may serve several.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting, such as root=~/coco.",
)
@click.option("--model", metavar="MODEL", help="Hold its task and classes against those of the data, too.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@options.output_format
def check(
    dataset: str, task: str | None, assignments: tuple[str, ...], model: str | None, strict: bool, output_format: str
) -> None:
    """Read every picture and target of DATASET: a document's name, its path, or a folder.

    A folder is given by a path that begins with `.`, `/` or `~`, or ends in `/`; its layout is recognised, and said.

    \b
    Errors     pictures that cannot be read, sizes of picture and mask that differ, masks with
               unknown ids, pictures that are in both splits
    Warnings   boxes out of the picture or without area, classes that do not occur

    Exit codes: 0 no errors, 1 errors (with --strict warnings too), or data that cannot be used at all, 2 the command was used
    wrongly.

    \b
    Examples:
      registry data check ./flowers/
      registry data check coco2017_detection --set root=~/coco --model fasterrcnn_mnv3_large_fpn
    """
    from registry.assemble import require_torch
    from registry_data.open import opened

    registry = default_registry()
    found = opened(registry, dataset, task=task, overrides=assignments)
    spec = registry.load_spec(model) if model is not None else None
    findings = _findings(registry, spec, found.spec, None)
    report = None
    if not _has_errors(findings):
        require_torch("reading a data set")
        from registry_data.inspection import inspect

        build = registry.host.target(found.spec)
        splits = {split: build(found.spec, split) for split in _SPLITS}
        names = getattr(splits["train"], "categories", None)
        findings = _findings(registry, spec, found.spec, names)
        report = inspect(splits, _watch)
    head = {"dataset": dataset, "type": found.spec.type, "task": found.spec.task, "recognised": found.recognised}
    severities = Counter(finding.severity for finding in findings) + (report.severities() if report else Counter())
    if output_format == "json":
        output.echo_json({**head, **_as_data(report, findings, severities)})
    else:
        click.echo("\n".join(_as_text(head, report, findings, severities)))
    if severities["error"] or (strict and severities["warning"]):
        sys.exit(1)


def _watch(indices: range, split: str) -> Iterable[int]:
    return output.progress(indices, f"reading {split}", total=len(indices))


def _findings(
    registry: Registry, model: ModelSpec | None, data_spec: DatasetSpec, names: Sequence[str] | None
) -> list[Finding]:
    from registry_data.against import check_against

    if model is None:
        return []
    return check_against(model, data_spec, model_names=registry.categories(model.task), data_names=names)


def _has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _as_data(report: Report | None, findings: Sequence[Finding], severities: Counter[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"splits": {}, "classes": [], "problems": []}
    for finding in findings:
        told = {"kind": finding.rule, "severity": finding.severity, "split": None, "image": None}
        shown["problems"].append({**told, "message": finding.message, "suggestion": finding.suggestion})
    if report is not None:
        sizes = report.pictures.items()
        shown["splits"] = {s: {"pictures": count, "left_out": report.left_out[s]} for s, count in sizes}
        shown["classes"] = [{"name": name, **counts} for name, counts in report.classes()]
        for problem in report.problems:
            fault = problem.fault
            told = {"kind": fault.kind, "severity": fault.severity, "split": problem.split, "image": problem.image}
            shown["problems"].append({**told, "message": fault.message, "suggestion": None})
    return {**shown, "errors": severities["error"], "warnings": severities["warning"]}


def _as_text(
    head: dict[str, Any], report: Report | None, findings: Sequence[Finding], severities: Counter[str]
) -> list[str]:
    lines = [f"{head['dataset']}: {head['type']}, for {head['task']}"]
    if head["recognised"]:
        lines = [f"{head['dataset']}: recognised as {head['recognised']}"]
    if report is not None:
        for split, count in report.pictures.items():
            out = report.left_out[split]
            more = f", and {out:,} that hold nothing to train on are left out" if out else ""
            lines.append(f"  {split}: {count:,} pictures{more}")
        lines += _table(report, head["task"])
    lines += _problems(report, findings)
    told = [f"{severities[s]} {s}{'s' * (severities[s] != 1)}" for s in ("error", "warning") if severities[s]]
    return [*lines, "", ", ".join(told) or "no problems"]


def _table(report: Report, task: str) -> list[str]:
    rows = [[name, *(f"{counts[split]:,}" for split in counts)] for name, counts in report.classes()]
    if not rows:
        return []
    what = "OBJECTS OF CLASS" if task == "detection" else "PICTURES OF CLASS"
    header = [what, *(split.upper() for split in report.counts)]
    return ["", output.table(rows, header=header, right=range(1, len(header)))]


def _problems(report: Report | None, findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity}: {finding.message} [{finding.rule}]")
        lines += [f"  help: {finding.suggestion}"] if finding.suggestion else []
    kinds: Counter[str] = Counter()
    for problem in report.problems if report else ():
        fault = problem.fault
        kinds[fault.kind] += 1
        if kinds[fault.kind] <= _SHOWN:
            where = problem.split if problem.image is None else f"{problem.split}: {output.printable(problem.image)}"
            lines.append(f"{fault.severity}: {where}: {output.printable(fault.message)} [{fault.kind}]")
    for kind, count in kinds.items():
        if count > _SHOWN:
            lines.append(f"and {count - _SHOWN:,} more of the kind `{kind}`; --format json lists all")
    return ["", *lines] if lines else []
