"""Making a file's tensors fit a model: everything is compared before anything is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from registry.assemble.construct import construct_apart, construct_hollow, construct_hollow_backbone
from registry.errors import RegistryWarning, WeightsError
from registry.host import PluginHost
from registry.specs import ModelSpec

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

#: How the first layer's weights, made for three channels, serve another number of channels.
InputRule = Literal["sum", "mean", "random"]
_LISTED = 4


@dataclass(frozen=True)
class Wishes:
    """What the caller said about differences between model and weights.

    Attributes:
        new_head: a class count other than the weights' was asked for, so class-dependent tensors may start anew.
        input_rule: how to serve another number of input channels; None refuses.
    """

    new_head: bool = False
    input_rule: InputRule | None = None


def fit(host: PluginHost, spec: ModelSpec, expected: State, found: State, wishes: Wishes, label: str) -> State:
    """The complete state dict of the model that `spec` describes, from a file's tensors.

    Args:
        expected: the state dict of such a model, of which only shapes and dtypes are read.
        found: tensors as read from the file.
        label: the file's name, for messages.

    Returns:
        Every key of the model in the model's order, with its shape and dtype.

    Raises:
        WeightsError: keys are missing, unexpected or mis-shaped, or a difference needs a wish that was not made.
    """
    found = {**_batch_counters(expected, found), **_without_idle_counters(expected, found)}
    misshaped = [key for key in expected if key in found and found[key].shape != expected[key].shape]
    fresh: list[str] = []
    if misshaped:
        by_classes = _dependent(host, spec, _more_classes)
        by_channels = _dependent(host, spec, _more_channels)
        head = [key for key in misshaped if key in by_classes]
        stem = [key for key in misshaped if key in by_channels and key not in by_classes]
        rest = [key for key in misshaped if key not in by_classes and key not in by_channels]
        _refuse_strangers(expected, found, misshaped if rest else [], label)
        fresh += _new_head(spec, expected, found, head, wishes, label)
        found = {**found, **_new_stem(spec, expected, found, stem, wishes, label)}
        fresh += [key for key in stem if wishes.input_rule == "random"]
    else:
        _refuse_strangers(expected, found, [], label)
    if fresh:
        found = {**found, **_initial(host, spec, fresh)}
    return {key: _as(found[key], expected[key], key, label) for key in expected}


def fit_backbone(host: PluginHost, spec: ModelSpec, found: State, wishes: Wishes, label: str) -> State:
    """The state dict of the backbone alone, from the tensors of a whole model that has it, such as a classifier.

    Raises:
        WeightsError: the file's tensors are not of this backbone.
    """

    def layout(channels: int) -> State:
        changed = spec.backbone.model_copy(update={"in_channels": channels})
        return construct_hollow_backbone(host, changed).state_dict()

    channels = spec.backbone.in_channels
    expected, wider = layout(channels), layout(channels + 1)
    stages = {key.partition(".")[0] for key in expected}
    found = {key: tensor for key, tensor in found.items() if key.partition(".")[0] in stages}
    found = {**_batch_counters(expected, found), **_without_idle_counters(expected, found)}
    misshaped = [key for key in expected if key in found and found[key].shape != expected[key].shape]
    stem = [key for key in misshaped if wider[key].shape != expected[key].shape]
    _refuse_strangers(expected, found, misshaped if len(stem) < len(misshaped) else [], label)
    if stem and wishes.input_rule == "random":
        raise WeightsError(f'{label}: pass adapt_input="sum" or "mean"; a new first layer needs whole-model weights')
    found = {**found, **_new_stem(spec, expected, found, stem, wishes, label)}
    return {key: _as(found[key], expected[key], key, label) for key in expected}


def _batch_counters(expected: State, found: State) -> State:
    """Counters of batch norm that files from before torch 0.4.1 lack; torch itself takes zero for them."""
    import torch

    missing = [key for key in expected if key not in found and key.endswith(".num_batches_tracked")]
    return {key: torch.zeros((), dtype=torch.long, device="cpu") for key in missing}


def _without_idle_counters(expected: State, found: State) -> State:
    """The file's tensors less counters of batch norms that are frozen in the model, which count nothing."""

    def idle(key: str) -> bool:
        norm, _, last = key.rpartition(".")
        return last == "num_batches_tracked" and key not in expected and f"{norm}.running_mean" in expected

    return {key: tensor for key, tensor in found.items() if not idle(key)}


def _dependent(host: PluginHost, spec: ModelSpec, change: Callable[[ModelSpec], ModelSpec]) -> set[str]:
    """Keys whose shape follows one setting: what differs between two models that differ in it."""
    here, there = (construct_hollow(host, variant).module.state_dict() for variant in (spec, change(spec)))
    return {key for key in here if key not in there or here[key].shape != there[key].shape}


def _more_classes(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(update={"head": spec.head.model_copy(update={"num_classes": spec.head.num_classes + 1})})


def _more_channels(spec: ModelSpec) -> ModelSpec:
    backbone = spec.backbone.model_copy(update={"in_channels": spec.backbone.in_channels + 1})
    return spec.model_copy(update={"backbone": backbone})


def _refuse_strangers(expected: State, found: State, misshaped: Iterable[str], label: str) -> None:
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [f"{key} {_shape(found[key])} instead of {_shape(expected[key])}" for key in misshaped]
    problems = [
        f"{len(keys)} {what}: {_listed(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise WeightsError(
            f"{label}: the weights do not fit the model, nothing was loaded; {'; '.join(problems)}; "
            "they belong to another architecture or other settings of it"
        )


def _new_head(spec: ModelSpec, expected: State, found: State, keys: list[str], wishes: Wishes, label: str) -> list[str]:
    """Class-dependent tensors that start anew, with a warning that says so."""
    if not keys:
        return []
    theirs = next(
        (
            had
            for key in keys
            for had, want in zip(found[key].shape, expected[key].shape, strict=False)
            if had != want and want == spec.head.num_classes
        ),
        None,
    )
    counted = f"{theirs} classes" if theirs is not None else "another number of classes"
    ours = spec.head.num_classes
    if not wishes.new_head:
        choice = f"num_classes={theirs} to use them as they are, or " if theirs is not None else ""
        raise WeightsError(
            f"{label}: the weights tell {counted} apart, the model {ours}; nothing was loaded; "
            f"pass {choice}num_classes={ours} to start with a new classifier"
        )
    warnings.warn(
        f"{label} has {counted}, the model {ours}: the classifier is new and untrained ({_listed(keys)})",
        RegistryWarning,
        stacklevel=2,
    )
    return keys


def _new_stem(spec: ModelSpec, expected: State, found: State, keys: list[str], wishes: Wishes, label: str) -> State:
    """Input-dependent tensors, their kernels for three channels turned into kernels for the model's."""
    if not keys:
        return {}
    channels = spec.backbone.in_channels
    for key in keys:
        kernel, shape = found[key], expected[key].shape
        if kernel.ndim != 4 or kernel.shape[0] != shape[0] or kernel.shape[2:] != shape[2:]:
            raise WeightsError(f"{label}: `{key}` {_shape(kernel)} cannot be adapted to {_shape(expected[key])}")
    if wishes.input_rule is None:
        raise WeightsError(
            f"{label}: the weights take {found[keys[0]].shape[1]} input channels, the model {channels}; nothing was loaded; "
            'pass adapt_input="sum" (grey copied into every channel gives the same answer), "mean" or "random"'
        )
    adapted = {}
    for key in keys:
        kernel = found[key]
        one = kernel.float().sum(1, keepdim=True) / (channels if wishes.input_rule == "sum" else kernel.shape[1])
        adapted[key] = one.expand(-1, channels, -1, -1).contiguous()
    return adapted


def _initial(host: PluginHost, spec: ModelSpec, keys: list[str]) -> State:
    state = construct_apart(host, spec).state_dict()
    return {key: state[key] for key in keys}


def _as(tensor: torch.Tensor, expected: torch.Tensor, key: str, label: str) -> torch.Tensor:
    if tensor.is_quantized or tensor.layout != expected.layout or tensor.is_complex():
        raise WeightsError(
            f"{label}: `{key}` is not a plain tensor, nothing was loaded; save the float model's weights"
        )
    return tensor.detach().to(expected.dtype)


def _shape(tensor: torch.Tensor) -> str:
    return str(tuple(tensor.shape))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
