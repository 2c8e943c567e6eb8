"""Tensors inside whatever a model takes or returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Two runs of one model may add in another order: the part of a tensor's largest value that is no difference.
_ROUNDING = 1e-4


def tensors(value: Any, name: str = "output") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor with the path that leads to it, through mappings, lists, tuples and dataclasses."""
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from tensors(item, f"{name}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name), f"{name}.{field.name}")


def not_finite(value: Any, name: str = "output") -> list[str]:
    """Paths of the tensors that hold infinite or undefined numbers."""
    found = tensors(value, name)
    return [path for path, tensor in found if tensor.is_floating_point() and not bool(tensor.isfinite().all())]


def difference(first: Any, second: Any) -> str | None:
    """How two outputs differ, in a few words; None where they are equal but for rounding."""
    import torch

    one, two = dict(tensors(first)), dict(tensors(second))
    if one.keys() != two.keys():
        return f"one holds {_listed(one)} and the other {_listed(two)}"
    for path, tensor in one.items():
        other = two[path]
        if tensor.shape != other.shape or tensor.dtype != other.dtype:
            return f"{path} is {tensor.dtype} {tuple(tensor.shape)}, then {other.dtype} {tuple(other.shape)}"
        mine, its = tensor.double(), other.double()
        largest = float(mine.nan_to_num(0, 0, 0).abs().max()) if mine.numel() else 0.0
        allowed = _ROUNDING * largest if tensor.is_floating_point() else 0.0
        if not torch.allclose(mine, its, rtol=0, atol=allowed, equal_nan=True):
            return f"{path} differs by up to {float((mine - its).abs().max()):.3g}"
    return None


def same_tensors(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> list[str]:
    """Keys at which two state dicts differ in one bit or more."""
    import torch

    keys = dict.fromkeys((*first, *second))
    return [key for key in keys if key not in first or key not in second or not torch.equal(first[key], second[key])]


def kept(value: Any, name: str = "output") -> dict[str, torch.Tensor]:
    """A copy of every tensor in a value, for `altered`."""
    return {path: tensor.detach().clone() for path, tensor in tensors(value, name)}


def altered(before: Mapping[str, torch.Tensor], value: Any, name: str = "output") -> list[str]:
    """Paths of the tensors that are not as they were when `kept` copied them, or that came or went."""
    import torch

    after = {path: tensor.detach() for path, tensor in tensors(value, name)}
    same = [
        p
        for p in before.keys() & after.keys()
        if before[p].shape == after[p].shape and before[p].dtype == after[p].dtype
    ]
    equal = {p for p in same if torch.equal(before[p].nan_to_num(), after[p].nan_to_num())}
    return [path for path in dict.fromkeys((*before, *after)) if path not in equal]


def few(names: list[str], most: int = 8) -> str:
    """Names for a message; the rest is counted."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _listed(found: dict[str, Any]) -> str:
    return ", ".join(found) or "no tensor"
