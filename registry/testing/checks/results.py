"""Reading what a model says: results, pictures of them, and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from registry.errors import RegistryError
from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.outcome import Skipped
from registry.testing.tensors import altered, difference, kept, not_finite

#: Batches of targets that are looked at for two with different figures.
_BATCHES = 8


@model_check("head", "task")
def results_are_read_shown_and_drawn(bench: Bench) -> Iterator[str]:
    """`postprocess` gives a result per picture; `as_data` makes JSON of it, `as_text` a text and `draw` a picture."""
    from PIL import Image

    task = bench.task
    inputs, _ = bench.example(2, bench.odd)
    results = task.postprocess(run(bench.model, inputs), [bench.odd, bench.odd])  # height and width differ
    if len(results) != 2:
        yield f"postprocess gives {len(results)} results for 2 pictures"
    picture = Image.new("RGB", (bench.odd[1], bench.odd[0]), (90, 120, 150))
    pixels = picture.tobytes()
    for result in results:
        yield from _no_json(task.as_data(result), "as_data")
        text = task.as_text(result)
        if not isinstance(text, str):
            yield f"as_text gives a {type(text).__name__}, not a text"
        if not isinstance(task.draw(picture, result), Image.Image):
            yield "draw gives something else than a PIL.Image"
        if picture.tobytes() != pixels:
            yield "draw changes the picture that it is given; draw on picture.copy()"
            pixels = picture.tobytes()
        shown = task.pictures(picture, result)
        if ".png" not in shown or not all(isinstance(image, Image.Image) for image in shown.values()):
            yield f"pictures must give a PIL.Image by the end of each file name, `.png` among them, and gives {sorted(shown)}"
        for name in task.formats:
            yield from _no_json(task.as_format(name, result, 1), f"as_format({name!r})")


@model_check("task")
def pictures_become_inputs(bench: Bench) -> Iterator[str]:
    """`preprocess` turns a picture of any proportions into a finite float32 (C, H, W), and `collate` that into a batch."""
    import torch
    from PIL import Image

    if bench.spec.backbone.in_channels not in (1, 3):
        raise Skipped(f"the model takes {bench.spec.backbone.in_channels} channels, which no picture has")
    side = bench.size[0]
    for width, height in ((side, side), (side + 45, side + 11)):
        picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
        pixels = picture.tobytes()
        tensor = bench.task.preprocess(picture)
        told = f"a picture of {height}x{width} pixels"
        if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float32 or tensor.dim() != 3:
            form = (
                f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            )
            yield f"preprocess makes {form} of {told}; it must be float32 (C, H, W)"
            continue
        if len(tensor) != bench.spec.backbone.in_channels:
            yield f"preprocess makes {len(tensor)} channels of {told} and the model takes {bench.spec.backbone.in_channels}"
            continue
        if not_finite(tensor):
            yield f"preprocess makes values that are not finite of {told}"
        if picture.tobytes() != pixels:
            yield f"preprocess changes {told}; work on a copy"
        elif difference(tensor, bench.task.preprocess(picture)):
            yield f"preprocess makes something else each time of {told}; leave out what is random"
        inputs = bench.task.collate([tensor])
        bench.task.check_output(run(bench.model, inputs), bench.spec, inputs)


@model_check("head", "task")
def metric_gives_finite_figures(bench: Bench) -> Iterator[str]:
    """`Task.metric` takes results with their targets and computes finite numbers, the headline among them, without a trace."""
    inputs, targets = bench.example(2, bench.odd)  # height and width differ
    results = bench.task.postprocess(run(bench.model, inputs), [bench.odd, bench.odd])
    metric = bench.task.metric(bench.spec)
    name = type(metric).__name__
    try:
        metric.compute()
    except RegistryError:
        pass
    else:
        yield f"{name}.compute gives figures of no batch; raise a RegistryError"
    before = kept((results, targets), "batch")
    metric.update(results, targets)
    if altered(before, (results, targets), "batch"):
        yield f"{name}.update changes the results or targets that it is given; work on copies"
    figures = metric.compute()
    if not _same(figures, metric.compute()):
        yield f"{name}.compute gives other figures when it is asked again; leave the sums as they are"
    try:
        bench.task.metric(bench.spec).compute()
    except RegistryError:
        pass
    else:
        yield f"a new {name} knows what another one was given; keep its sums in the object, set in __init__"
    wrong = [key for key, value in figures.items() if not isinstance(value, float) or not math.isfinite(value)]
    if wrong:
        told = ", ".join(f"`{key}` {figures[key]!r}" for key in wrong)
        yield f"{name}.compute gives {told}; figures are finite floats"
    if getattr(metric, "headline", None) not in figures:
        headline = getattr(metric, "headline", None)
        yield f"the headline `{headline}` of {name} is none of its figures: {', '.join(figures)}"


@model_check("head", "task")
def metric_counts_every_batch(bench: Bench) -> Iterator[str]:
    """Figures do not depend on the order of the batches, where two batches can be found whose figures differ."""
    inputs, _ = bench.example(2)
    results = bench.task.postprocess(run(bench.model, inputs), [bench.size, bench.size])
    batches = [bench.example(2, seed=seed)[1] for seed in range(_BATCHES)]

    def figures(*added: Any) -> dict[str, float]:
        metric = bench.task.metric(bench.spec)
        for targets in added:
            metric.update(results, targets)
        return metric.compute()

    first = figures(batches[0])
    other = next((targets for targets in batches[1:] if not _same(first, figures(targets))), None)
    if other is None:
        raise Skipped("made-up targets all have the same figures")
    if not _same(figures(batches[0], other), figures(other, batches[0])):
        name = type(bench.task.metric(bench.spec)).__name__
        yield f"figures of {name} depend on the order of two batches; add up in update, and divide in compute"


def _same(first: dict[str, float], second: dict[str, float]) -> bool:
    return first.keys() == second.keys() and all(
        math.isclose(first[k], second[k], rel_tol=1e-6, abs_tol=1e-9) for k in first
    )


def _no_json(data: Any, what: str) -> Iterator[str]:
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"{what} gives something that JSON cannot hold: {error}"
