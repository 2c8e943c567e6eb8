"""Ranges of the tensors of an ONNX graph, from what they are on pictures to calibrate with.

Source: the least error of rounding over clipped ranges, told on a histogram, as torch's `HistogramObserver` looks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from registry_export.engines import require

#: Ways to find a range, see `OnnxSpec.ranges`.
Method = Literal["histogram", "quantile", "min_max"]
#: A least and a greatest value.
Range = tuple[float, float]
Values = NDArray[np.float32]

#: Values of a tensor, over all pictures, from which its range is chosen, and least of one picture.
_SAMPLE, _LEAST = 131_072, 256
_BINS = 2048
_STEPS = 255
#: Parts of the least and of the greatest value that are tried; what lies outside is clipped.
_CLIPS = np.linspace(1.0, 0.1, 19)
#: Share of the values that a quantile leaves out at either end.
_OUTSIDE = 1e-4


@dataclass
class _Seen:
    """What a tensor was: its least and greatest value, and some of its values."""

    low: float = 0.0
    high: float = 0.0
    values: list[Values] = field(default_factory=list)


def find_ranges(
    onnx: Any,
    model: Any,
    bounds: Mapping[str, Range],
    pictures: list[Values],
    method: Method,
    *,
    around_zero: bool,
) -> dict[str, Range]:
    """The range of each tensor, with 0 in it.

    Args:
        onnx: the package.
        model: float.
        bounds: by a tensor's name, values beyond which nothing matters.
        pictures: inputs of the model.
        around_zero: the least value is minus the greatest.
    """
    seen = {name: _Seen() for name in bounds}
    count = max(_LEAST, _SAMPLE // max(1, len(pictures)))
    for tensors in _runs(onnx, model, bounds, pictures):
        for name, values in tensors.items():
            if values.size:
                _look(seen[name], values.ravel().clip(*bounds[name]), count)
    return {name: _range(each, method, around_zero) for name, each in seen.items()}


def started(model: Any) -> Any:
    """ONNX Runtime with a float model, with as many threads as torch has."""
    engine: Any = require("onnxruntime", "onnx", "quantizing for ONNX Runtime")
    options = engine.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    return engine.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _runs(onnx: Any, model: Any, names: Collection[str], pictures: Iterable[Values]) -> Iterator[dict[str, Values]]:
    """What the tensors are for each picture."""
    own = onnx.ModelProto()
    own.CopyFrom(model)
    given = own.graph.input[0].name
    wanted = [name for name in names if name != given]
    there = {each.name for each in own.graph.output}
    for name in wanted:
        if name not in there:
            own.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = started(own)
    for picture in pictures:
        found = dict(zip(wanted, session.run(wanted, {given: picture}), strict=True)) if wanted else {}
        yield {**found, given: picture} if given in names else found


def _look(seen: _Seen, values: Values, count: int) -> None:
    seen.low, seen.high = min(seen.low, float(values.min())), max(seen.high, float(values.max()))
    if values.size > count:
        values = values[np.random.default_rng(0).integers(values.size, size=count)]
    seen.values.append(values)


def _range(seen: _Seen, method: Method, around_zero: bool) -> Range:
    low, high = seen.low, seen.high
    if around_zero:
        low, high = -max(-low, high), max(-low, high)
    if method == "min_max" or not seen.values or low == high:
        return low, high
    values = np.concatenate(seen.values)
    if method == "quantile":
        least, most = np.quantile(np.abs(values) if around_zero else values, [_OUTSIDE, 1 - _OUTSIDE])
        high = max(0.0, float(most))
        return (-high if around_zero else min(0.0, float(least))), high
    counts, edges = np.histogram(values, _BINS, (low, high))
    centres, weights = ((edges[1:] + edges[:-1]) / 2)[counts > 0], counts[counts > 0]
    clips = [(float(clip), float(clip)) for clip in _CLIPS] if around_zero else _pairs(low, high)
    tried = [(low * below, high * above) for below, above in clips]
    errors = [_error(centres, weights, *each) for each in tried]
    return tried[int(np.argmin(errors))]


def _pairs(low: float, high: float) -> list[tuple[float, float]]:
    return [
        (float(below), float(above))
        for below in (_CLIPS if low < 0 else _CLIPS[:1])
        for above in (_CLIPS if high > 0 else _CLIPS[:1])
    ]


def _error(values: Any, weights: Any, low: float, high: float) -> float:
    """Sum of squares of what rounding to the range does."""
    scale = (high - low) / _STEPS
    zero = round(-low / scale)
    rounded = (np.rint(values / scale) + zero).clip(0, _STEPS) - zero
    return float((weights * (rounded * scale - values) ** 2).sum())
