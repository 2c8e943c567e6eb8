"""Which weights a request means: a name that the model's spec knows, `default`, a reference, or a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Union

from registry.errors import WeightsError
from registry.specs import ModelSpec, WeightsSpec
from registry.suggest import did_you_mean
from registry.weights_reference import LocalFile, Reference, parse_reference

#: What a caller may give: a name, a reference, a path, or a weights spec.
WeightsRequest = Union[str, "os.PathLike[str]", WeightsSpec]


@dataclass(frozen=True)
class Choice:
    """Weights that were asked for.

    Attributes:
        reference: where they are.
        sha256: expected digest or its beginning, or None.
        place: keys that lead to them in the model's spec; empty for weights that the spec does not list.
    """

    reference: Reference
    sha256: str | None
    place: tuple[str, ...] = ()

    def beside(self, file_of: Callable[[Sequence[str]], str]) -> Choice:
        """The same, where a relative path means the folder of the file that wrote it.

        Args:
            file_of: tells which file wrote the setting that some keys lead to.
        """
        if not self.place or not isinstance(self.reference, LocalFile):
            return self
        folder = Path(file_of((*self.place, "source"))).parent
        return replace(self, reference=LocalFile(folder / self.reference.path))


def choose(request: WeightsRequest, spec: ModelSpec) -> Choice:
    """The weights that a request means for a model.

    Raises:
        WeightsError: no such name, and no reference or path either.
    """
    if isinstance(request, WeightsSpec):
        return Choice(parse_reference(request.source), request.sha256)
    if not isinstance(request, str):
        return Choice(LocalFile(Path(os.fspath(request))), None)
    name = _entry(request, spec)
    if name is not None:
        entry = spec.weights[name]
        return Choice(parse_reference(entry.source), entry.sha256, ("weights", name))
    try:
        return Choice(parse_reference(request), None)
    except WeightsError as error:
        raise WeightsError(f"{_unknown(request, spec)}; {error}") from None


def choose_backbone(request: WeightsRequest, spec: ModelSpec) -> Choice:
    """The weights that a request means for a model's backbone; `default` is what the spec names.

    Raises:
        WeightsError: the spec names none, or it is neither a reference nor a path.
    """
    own = spec.backbone_weights
    if isinstance(request, str) and request.lower() == "default":
        if own is None:
            raise WeightsError(f"`{spec.name}` names no weights for its backbone; give a file or a reference")
        return Choice(parse_reference(own.source), own.sha256, ("backbone_weights",))
    if isinstance(request, WeightsSpec):
        return Choice(parse_reference(request.source), request.sha256)
    if not isinstance(request, str):
        return Choice(LocalFile(Path(os.fspath(request))), None)
    return Choice(parse_reference(request), None)


def _entry(request: str, spec: ModelSpec) -> str | None:
    if request.lower() == "default":
        if spec.default_weights is None:
            raise WeightsError(f"{_unknown(request, spec)}; name weights, or give a file")
        return spec.default_weights
    if request in spec.weights:
        return request
    return next((name for name, entry in spec.weights.items() if entry.source == request), None)


def _unknown(request: str, spec: ModelSpec) -> str:
    names: Mapping[str, WeightsSpec] = spec.weights
    if not names:
        return f"`{spec.name}` has no published weights, so none called `{request}`"
    return f"`{spec.name}` has no weights called `{request}`; {did_you_mean(request, names)}"
