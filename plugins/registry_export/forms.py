"""The structure of what a model returns, as plain data, so that flat lists of tensors become outputs again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from registry.errors import RegistryError


def form_of(output: Any) -> Any:
    """`"tensor"`, `{"dict": [[key, form], …]}` or `{"list": [form, …]}`.

    Raises:
        RegistryError: something else is in it.
    """
    if isinstance(output, torch.Tensor):
        return "tensor"
    if isinstance(output, Mapping) and all(isinstance(key, str) for key in output):
        return {"dict": [[key, form_of(value)] for key, value in output.items()]}
    if isinstance(output, (list, tuple)):
        return {"list": [form_of(value) for value in output]}
    raise RegistryError(
        f"a model that returns a {type(output).__name__} cannot be exported; return tensors, dicts, lists"
    )


def tensors_of(output: Any) -> list[torch.Tensor]:
    """Every tensor of an output, in the order of its form."""
    if isinstance(output, torch.Tensor):
        return [output]
    values: Iterable[Any] = output.values() if isinstance(output, Mapping) else output
    return [tensor for value in values for tensor in tensors_of(value)]


def tensors_as(form: Any, output: Any) -> list[torch.Tensor]:
    """Every tensor of an output in the order of a form, whatever the order of its own keys.

    Raises:
        RegistryError: the output has another structure; a flat tuple has any.
    """
    if form == "tensor" and isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, (list, tuple)) and all(isinstance(each, torch.Tensor) for each in output):
        return list(output)
    entries = form.get("dict") if isinstance(form, dict) else None
    if entries is not None and isinstance(output, Mapping) and all(key in output for key, _ in entries):
        return [tensor for key, inner in entries for tensor in tensors_as(inner, output[key])]
    raise RegistryError(f"the file returns a {type(output).__name__}, which is not what its metadata says")


def restored(form: Any, tensors: Iterable[torch.Tensor]) -> Any:
    """The output of that form that holds the tensors.

    Raises:
        RegistryError: the form is none, or there are too few tensors.
    """
    return _restored(form, iter(tensors))


def names_of(form: Any) -> list[str]:
    """A name for each tensor: its keys joined by dots; `output` for a single one."""
    found = list(_names(form, ""))
    return [name or "output" for name in found]


def _names(form: Any, before: str) -> Iterator[str]:
    if form == "tensor":
        yield before
        return
    entries = form["dict"] if "dict" in form else list(enumerate(form["list"]))
    for key, inner in entries:
        yield from _names(inner, f"{before}.{key}" if before else str(key))


def _restored(form: Any, tensors: Iterator[torch.Tensor]) -> Any:
    if form == "tensor":
        found = next(tensors, None)
        if found is None:
            raise RegistryError("the file gives fewer outputs than its metadata says; export the model again")
        return found
    if isinstance(form, dict) and isinstance(form.get("dict"), list):
        return {str(key): _restored(inner, tensors) for key, inner in form["dict"]}
    if isinstance(form, dict) and isinstance(form.get("list"), list):
        return [_restored(inner, tensors) for inner in form["list"]]
    raise RegistryError(f"the metadata describes outputs as {form!r}, which this release does not know")
