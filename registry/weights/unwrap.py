"""From what a checkpoint holds to its state dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.errors import WeightsError

if TYPE_CHECKING:
    import torch

_PLAIN = ("model", "state_dict", "model_state_dict")
_AVERAGED = "model_ema"
_PARALLEL = "module."
_COUNT = "n_averaged"
_SHOWN = 3


def state_dict_in(held: Any, where: str) -> dict[str, torch.Tensor]:
    """The state dict that a checkpoint is or wraps.

    Args:
        held: what the file held.
        where: the file, for messages.

    Returns:
        A new mapping; modules' versions (`_metadata`) stay with it, as some modules read their weights by them.

    Raises:
        WeightsError: when there is none, or more than one.
    """
    if not isinstance(held, Mapping):
        raise WeightsError(
            f"{where} holds {_kind(held)}, not a state dict; save model.state_dict() with torch.save or as safetensors"
        )
    return _without_parallel(_chosen(held, where))


def _chosen(held: Mapping[Any, Any], where: str) -> Mapping[str, torch.Tensor]:
    problem = _problem(held)
    if problem is None:
        return held
    plain = [key for key in _PLAIN if _is_state_dict(held.get(key))]
    if len(plain) > 1:
        raise WeightsError(f"{where} holds several state dicts, under {_names(plain)}; save the one you mean alone")
    for key in [*plain, _AVERAGED]:
        if _is_state_dict(held.get(key)):
            return _without_count(held[key]) if key == _AVERAGED else held[key]
    for key in (*_PLAIN, _AVERAGED):
        if isinstance(held.get(key), Mapping):
            raise WeightsError(f"{where} holds no state dict: under `{key}`, {_problem(held[key])}")
    raise WeightsError(
        f"{where} holds no state dict: {problem}; a state dict maps names to tensors, alone or under one of "
        f"{_names([*_PLAIN, _AVERAGED])}"
    )


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and _problem(value) is None


def _problem(mapping: Mapping[Any, Any]) -> str | None:
    """What keeps a mapping from being a state dict."""
    import torch

    if not mapping:
        return "it is empty"
    odd = [f"the key {key!r} is {_kind(key)}" for key in mapping if not isinstance(key, str)]
    odd += [f"`{key}` is {_kind(value)}" for key, value in mapping.items() if not isinstance(value, torch.Tensor)]
    if not odd:
        return None
    more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
    return ", ".join(odd[:_SHOWN]) + more


def _without_count(averaged: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """torch's AveragedModel keeps how many models it averaged beside the model, which is under `module.`."""
    names = [name for name in averaged if name != _COUNT]
    if _COUNT in averaged and names and all(name.startswith(_PARALLEL) for name in names):
        return _copied(averaged, {name: name for name in names})
    return averaged


def _without_parallel(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """DataParallel and its kin put every name under `module.`."""
    if all(name.startswith(_PARALLEL) and name != _PARALLEL for name in state):
        return _copied(state, {name: name[len(_PARALLEL) :] for name in state})
    return _copied(state, {name: name for name in state})


def _copied(state: Mapping[str, torch.Tensor], names: dict[str, str]) -> OrderedDict[str, torch.Tensor]:
    copy = OrderedDict((new, state[old]) for old, new in names.items())
    versions = getattr(state, "_metadata", None)
    if isinstance(versions, Mapping):
        if any(old != new for old, new in names.items()):
            # The versions' names are modules: the wrapper's own is the empty one, the wrapped module's is `module`.
            versions = {
                name[len(_PARALLEL) :]: version for name, version in versions.items() if name.startswith(_PARALLEL[:-1])
            }
        copy.__dict__["_metadata"] = OrderedDict(versions)
    return copy


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
